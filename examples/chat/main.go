// Chat is a chat room on one page, which the program serves itself. Each visitor chooses how
// the page talks to the server: by WebSocket, by server-sent events, or by long polling; a
// ringkit.Channel is all three. Open it in several windows.
//
// The program in natsbus/cmd/chat is the same, for several servers that share a room.
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"os"
	"os/signal"
	"syscall"

	"github.com/ringkit/ringkit/examples/chat/room"
)

func main() {
	var f room.Flags
	f.Add(flag.CommandLine)
	flag.Usage = func() {
		fmt.Fprintf(flag.CommandLine.Output(), "Usage: chat [flags]\n\nServes a chat room until interrupted.\n\n")
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
	if err := room.Serve(ctx, f, nil); err != nil {
		log.Fatal("chat: ", err)
	}
}
