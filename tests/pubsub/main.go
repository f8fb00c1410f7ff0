// Google's own in-memory Pub/Sub server, as a process of its own: it writes its address, and ends with its input.
package main

import (
	"fmt"
	"io"
	"os"

	"cloud.google.com/go/pubsub/pstest"
)

func main() {
	fmt.Println(pstest.NewServer().Addr)
	_, _ = io.Copy(io.Discard, os.Stdin)
}
