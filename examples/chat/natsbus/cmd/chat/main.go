// Chat is examples/chat on several servers: those that are connected to the same NATS broker
// share the room.
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"os"
	"os/signal"
	"syscall"

	"github.com/ringkit/ringkit/examples/chat/natsbus"
	"github.com/ringkit/ringkit/examples/chat/room"
)

func main() {
	var f room.Flags
	f.Add(flag.CommandLine)
	broker := flag.String("nats", "nats://127.0.0.1:4222", "`URL` of the NATS broker")
	flag.Usage = func() {
		fmt.Fprintf(flag.CommandLine.Output(), "Usage: chat [flags]\n\nServes a chat room, shared by the servers on a NATS broker, until interrupted.\n\n")
		flag.PrintDefaults()
	}
	flag.Parse()
	if flag.NArg() > 0 {
		fmt.Fprintf(flag.CommandLine.Output(), "chat: takes no arguments\n\n")
		flag.Usage()
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second interrupt ends the program at once
	if err := run(ctx, f, *broker); err != nil {
		log.Fatal("chat: ", err)
	}
}

func run(ctx context.Context, f room.Flags, broker string) error {
	bus, err := natsbus.Connect(broker, natsbus.Options{})
	if err != nil {
		return err
	}
	defer bus.Close()
	return room.Serve(ctx, f, bus)
}
