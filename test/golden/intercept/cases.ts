// Settings whose rules are kept as expectations: each file holds what `isthmus intercept print` shows for both back ends.
// The rules of each were compared with those of Istio's own goldens and of its agent when they were written.

/** Flags by the name of the expectation. */
export const cases: Readonly<Record<string, readonly string[]>> = {
  nothing: [],
  everything: ["-b", "*", "-i", "*", "-d", "15090,15021,15020"],
  "some-ports-and-ranges": ["-b", "8080,9090", "-i", "10.96.0.0/12,fd00:96::/108", "-x", "10.96.5.0/24", "-q", "7000", "-o", "6379,", "--ipv6", "on"],
  "dns-by-server": ["-b", "*", "-i", "*", "--redirect-dns"],
  "dns-by-server-ipv6": ["-b", "*", "-i", "*", "--redirect-dns", "--ipv6", "on", "-u", "1337,1338", "-g", "1337"],
  "dns-all": ["-i", "*", "--redirect-dns", "--capture-all-dns", "--ipv6", "on"],
  tproxy: ["-m", "TPROXY", "-b", "*", "-d", "15020", "-i", "*", "-c", "eth9", "--ipv6", "on"],
  "tproxy-ports": ["-m", "TPROXY", "-b", "8080", "-t", "7", "-r", "99"],
  "tproxy-without-inbound": ["-m", "TPROXY", "-i", "*"],
  "virtual-machines": ["-b", "8080", "-k", "vm0,vm1", "-i", "10.0.0.0/8"],
  "virtual-machines-all": ["-k", "vm0", "-i", "*", "-c", "eth9"],
  "owner-groups": ["-i", "*", "--istio-outbound-owner-groups", "202,java"],
  "owner-groups-exclude": ["-i", "*", "--istio-outbound-owner-groups-exclude", "888,ftp"],
  "loopback-included": ["-i", "127.1.2.3/32", "--istio-outbound-ipv4-loopback-cidr", "127.0.0.0/16"],
  "drop-invalid": ["--drop-invalid"],
};
