// Pause does nothing until it is told to stop: the program of the node's
// pause image and of the tests' pods, which need no other.
package main

import (
	"os"
	"os/signal"
	"syscall"
)

func main() {
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGINT, syscall.SIGTERM)
	<-stop
}
