package wsock_test

import (
	"fmt"

	"github.com/ringkit/ringkit/wsock"
)

// A server answers what a client sends.
func ExampleDecoder() {
	mask := wsock.Masked([4]byte{0x37, 0xfa, 0x21, 0x3d})
	var input []byte
	input = wsock.AppendMessage(input, wsock.Message{Kind: wsock.Text, Data: []byte("Hello")}, mask)
	input = wsock.AppendPing(input, []byte("there?"), mask)
	input = wsock.AppendClose(input, wsock.CloseGoingAway, "bye", mask)

	var dec wsock.Decoder
	var closing wsock.Closing
	var output []byte
	dec.Init(&wsock.Config{}, wsock.Compression{})
	for !closing.Done() {
		ev, n, err := dec.Next(input)
		input = input[n:]
		if err != nil {
			output = closing.Fail(output, err, wsock.Mask{})
			break
		}
		switch ev.Op {
		case wsock.Text, wsock.Binary:
			fmt.Printf("%v: %s\n", ev.Op, ev.Data)
			output = wsock.AppendMessage(output, ev.Message(), wsock.Mask{})
		case wsock.Ping:
			output = wsock.AppendPong(output, ev.Data, wsock.Mask{})
		case wsock.Close:
			output = closing.Received(output, &ev, wsock.Mask{})
		}
	}
	dec.Release()
	info := closing.Info()
	fmt.Printf("%d (%v): %q, clean: %t\n", info.Code, info.Code, info.Reason, info.Clean)
	fmt.Printf("%q\n", output)
	// Output:
	// text: Hello
	// 1001 (going away): "bye", clean: true
	// "\x81\x05Hello\x8a\x06there?\x88\x02\x03\xe9"
}

// A server chooses among the offers of a client.
func ExampleCompressionOptions() {
	offer := []string{"permessage-deflate; client_max_window_bits"}
	var options wsock.CompressionOptions // nothing is kept for a connection
	agreed, answer, err := options.Accept(offer)
	fmt.Println(agreed.Enabled, err)
	fmt.Println(answer)

	options.ServerTakeover, options.ServerBits = true, 12 // 4 KiB are
	_, answer, _ = options.Accept(offer)
	fmt.Println(answer)
	// Output:
	// true <nil>
	// permessage-deflate; server_no_context_takeover; client_no_context_takeover
	// permessage-deflate; client_no_context_takeover; server_max_window_bits=12
}
