// The same traffic for nginx: one process, no log, upstream connections kept.
import fs from "node:fs";
import type { Traffic } from "../benchmark.ts";
import { serverName } from "../load/payload.ts";
import type { PortPair } from "./contender.ts";

/** Where Debian puts the stream module that is not built into its nginx. */
const streamModule = "/usr/lib/nginx/modules/ngx_stream_module.so";

/** Builds nginx.conf; everything nginx writes goes into `folder`. */
export function nginxConfig(folder: string, ports: Readonly<Record<Traffic, PortPair>>): string {
  return `${fs.existsSync(streamModule) ? `load_module ${streamModule};` : ""}
daemon off;
master_process off;
pid ${folder}/nginx.pid;
error_log stderr crit;
events { worker_connections 4096; }

http {
  access_log off;
  client_body_temp_path ${folder}/body;
  proxy_temp_path ${folder}/proxy;
  fastcgi_temp_path ${folder}/fastcgi;
  uwsgi_temp_path ${folder}/uwsgi;
  scgi_temp_path ${folder}/scgi;
  keepalive_requests 1000000000;
  upstream http1 {
    server 127.0.0.1:${ports.http1.upstream};
    keepalive 64;
    keepalive_requests 1000000000;
  }
  server {
    listen 127.0.0.1:${ports.http1.listen};
    location / {
      proxy_pass http://http1;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_set_header Host $host;
    }
  }
}

stream {
  server { listen 127.0.0.1:${ports["tcp-rtt"].listen}; proxy_pass 127.0.0.1:${ports["tcp-rtt"].upstream}; }
  server { listen 127.0.0.1:${ports["tcp-bulk"].listen}; proxy_pass 127.0.0.1:${ports["tcp-bulk"].upstream}; }
  map $ssl_preread_server_name $sni { ${serverName} 127.0.0.1:${ports["sni-bulk"].upstream}; }
  server { listen 127.0.0.1:${ports["sni-bulk"].listen}; ssl_preread on; proxy_pass $sni; }
}
`;
}
