// Prints what Go's own resolver finds: addresses of a host, or with two arguments the SRV records of a port of it.
package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"time"
)

func main() {
	resolver := &net.Resolver{PreferGo: true}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if len(os.Args) == 3 {
		_, records, err := resolver.LookupSRV(ctx, os.Args[1], "tcp", os.Args[2])
		fail(err)
		for _, record := range records {
			fmt.Println(record.Target, record.Port)
		}
		return
	}
	addresses, err := resolver.LookupIPAddr(ctx, os.Args[1])
	fail(err)
	for _, address := range addresses {
		fmt.Println(address.IP)
	}
}

func fail(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
