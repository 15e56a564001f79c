package wsock

import (
	"fmt"
	"strings"
	"testing"
)

func BenchmarkMask(b *testing.B) {
	for _, n := range []int{16, 125, 1024, 16384} {
		p := make([]byte, n)
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			b.SetBytes(int64(n))
			k := uint32(0x12345678)
			for b.Loop() {
				k = applyMask(p, k)
			}
		})
	}
}

func BenchmarkUTF8(b *testing.B) {
	for name, s := range map[string]string{
		"ascii": strings.Repeat("hello ", 200), "greek": strings.Repeat("κόσμε ", 100), "emoji": strings.Repeat("😀", 300),
	} {
		p := []byte(s)
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(p)))
			for b.Loop() {
				if utf8Start.check(p) != utf8Start {
					b.Fatal("no UTF-8")
				}
			}
		})
	}
}

func BenchmarkDecode(b *testing.B) {
	for _, n := range []int{16, 64, 1024, 16384} {
		message := []byte(text(string(chatter(1, n))))
		in := make([]byte, len(message))
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			b.SetBytes(int64(n))
			var d Decoder
			d.Init(new(Config), Compression{})
			for b.Loop() {
				copy(in, message) // which Next unmasks
				if ev, _, _ := d.Next(in); ev.Op != Text {
					b.Fatal("no message")
				}
				d.Next(nil)
			}
		})
	}
}

func BenchmarkEncode(b *testing.B) {
	for _, n := range []int{64, 16384} {
		m := Message{Text, chatter(1, n)}
		for _, mask := range []Mask{{}, Masked(key)} {
			b.Run(fmt.Sprintf("%d,masked=%t", n, mask.On), func(b *testing.B) {
				b.SetBytes(int64(n))
				var dst []byte
				for b.Loop() {
					dst = AppendMessage(dst[:0], m, mask)
				}
			})
		}
	}
}

func BenchmarkDeflate(b *testing.B) {
	for name, agreed := range map[string]Compression{
		"stateless": stateless, "takeover4k": {Enabled: true, ServerBits: 12}, "takeover32k": takeover,
	} {
		for _, n := range []int{128, 1024, 16384} {
			m := Message{Text, chatter(1, n)}
			b.Run(fmt.Sprintf("%s/%d", name, n), func(b *testing.B) {
				z := &Deflater{Threshold: 1}
				var e Encoder
				e.Init(false, agreed)
				var dst []byte
				for b.Loop() {
					dst = e.AppendMessage(dst[:0], m, z, Mask{})
				}
				b.ReportMetric(float64(len(dst))/float64(n), "ratio")
			})
		}
	}
}

func BenchmarkInflate(b *testing.B) {
	for name, agreed := range map[string]Compression{"stateless": stateless, "takeover32k": takeover} {
		for _, n := range []int{128, 1024, 16384} {
			z := new(Deflater)
			in := AppendFrame(nil, Header{Op: Text, Fin: true, Compressed: true}, z.append(nil, chatter(1, n), nil, maxWindowBits))
			b.Run(fmt.Sprintf("%s/%d", name, n), func(b *testing.B) {
				b.ReportAllocs()
				var d Decoder
				d.Init(&Config{Client: true, Buffers: new(kept)}, agreed)
				for b.Loop() {
					if ev, _, _ := d.Next(in); ev.Op != Text {
						b.Fatal("no message")
					}
					d.Next(nil)
				}
			})
		}
	}
}
