// Google's own in-memory Pub/Sub, as a process of its own: it writes its address, and ends with its input.
//
// It takes messages as large as the real one does, which pstest's own server does not.
package main

import (
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"os"

	pb "cloud.google.com/go/pubsub/apiv1/pubsubpb"
	"cloud.google.com/go/pubsub/pstest"
	"google.golang.org/grpc"
)

const largestMessage = 16 << 20

func main() {
	port := flag.Int("port", 0, "port of loopback; 0 takes a free one")
	flag.Parse()
	listener, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", *port))
	if err != nil {
		log.Fatal(err)
	}
	memory := pstest.NewServer()
	server := grpc.NewServer(grpc.MaxRecvMsgSize(largestMessage))
	pb.RegisterPublisherServer(server, &memory.GServer)
	pb.RegisterSubscriberServer(server, &memory.GServer)
	go func() { log.Fatal(server.Serve(listener)) }()
	fmt.Println(listener.Addr())
	_, _ = io.Copy(io.Discard, os.Stdin)
}
