package ringkit

import (
	"math/rand/v2"
	"testing"

	"github.com/ringkit/ringkit/wsock"
)

// Messages that get longer by compression are sent as they are, also where the attempt
// took more room than the message.
func TestWebSocketIncompressible(t *testing.T) {
	opts := &ChannelOptions{Compression: wsock.CompressionOptions{ServerBits: 8}}
	eachEngine(t, func(t *testing.T, e engine) {
		s := serve(t, e, &Server{Handler: channelsWith(opts, func() Events { return Events{Message: echo} })})
		p := s.webSocket("/native", true)
		rng := rand.New(rand.NewPCG(1, 2))
		for _, room := range []int{1 << 10, 4 << 10, 16 << 10, 32 << 10} {
			for less := range 100 { // somewhere there the message just fits a block
				noise := make([]byte, room-less)
				for i := range noise {
					noise[i] = byte(rng.Uint32())
				}
				p.say(Binary(noise))
				p.expectMessage(Binary(noise))
			}
		}
	})
}
