// Prints the addresses of a host, one a line, as the C library it is linked with finds them; exit code 1 and its reason otherwise.
#include <arpa/inet.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

int main(int argc, char **argv) {
  struct addrinfo hints, *found;
  char text[INET6_ADDRSTRLEN];
  if (argc != 2) return 2;
  memset(&hints, 0, sizeof hints);
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  int failure = getaddrinfo(argv[1], NULL, &hints, &found);
  if (failure) {
    fprintf(stderr, "%s\n", gai_strerror(failure));
    return 1;
  }
  for (struct addrinfo *each = found; each; each = each->ai_next) {
    const void *address = each->ai_family == AF_INET ? (void *)&((struct sockaddr_in *)each->ai_addr)->sin_addr
                                                     : (void *)&((struct sockaddr_in6 *)each->ai_addr)->sin6_addr;
    puts(inet_ntop(each->ai_family, address, text, sizeof text));
  }
  freeaddrinfo(found);
  return 0;
}
