package simring

import (
	"math/rand/v2"
	"time"
)

// Faults are the probabilities, from 0 to 1, of what a kernel and a network may do
// at every opportunity. The zero value is a kind world, without delay.
type Faults struct {
	Split        float64 // data is received and sent in small pieces, down to one byte
	EndRecv      float64 // a multishot receive ends with the data it brings; 1 is a kernel without multishot
	CancelRecv   float64 // a receive or a poll ends with ECANCELED, as when its thread has died
	NoBuffer     float64 // a receive finds no buffer although there are some
	BufferAtEnd  float64 // the completion that ends a receive brings a buffer
	EndAccept    float64 // a multishot accept ends with the connection it brings
	CancelAccept float64 // an accept ends with ECANCELED
	AbortAccept  float64 // a peer is gone before it is accepted: ECONNABORTED
	Exhaust      float64 // there are no descriptors for a while: EMFILE
	ShortSend    float64 // a send is interrupted: part of it, or nothing, has been sent
	LateSend     float64 // a send completes some time after its data has left
	LateCancel   float64 // a cancellation takes effect some time after it was submitted
	MissCancel   float64 // a cancellation reports that it found nothing, or came too late
	NoFile       float64 // a descriptor is lost on its way into the table of files; not in a Storm
	NoInstall    float64 // there is no descriptor for a file of the table
	Reset        float64 // the network resets a connection
	LoseReset    float64 // a multishot receive that has brought data does not notice a reset; not in a Storm
	LoseShutdown float64 // nor that its socket was shut down; not in a Storm
	EarlyEnter   float64 // Enter returns with nothing, as when interrupted
	Spread       float64 // some completions stay behind until a later Enter
	Reorder      float64 // completions of different operations change places

	Delay time.Duration // the longest that anything takes which takes time
}

// Storm draws a mixture of faults: each is absent, rare or frequent. With all of
// them frequent at once, most of the interesting runs would never get anywhere.
func Storm(rng *rand.Rand) Faults {
	often := func(most float64) float64 {
		switch rng.IntN(4) {
		case 0, 1:
			return 0
		case 2:
			return most / 10
		}
		return most
	}
	return Faults{
		Split:        often(0.9),
		EndRecv:      often(1),
		CancelRecv:   often(0.3),
		NoBuffer:     often(0.3),
		BufferAtEnd:  often(0.5),
		EndAccept:    often(1),
		CancelAccept: often(0.3),
		AbortAccept:  often(0.2),
		Exhaust:      often(0.1),
		ShortSend:    often(0.4),
		LateSend:     often(0.5),
		LateCancel:   often(0.5),
		MissCancel:   often(0.5),
		Reset:        often(0.02),
		EarlyEnter:   often(0.3),
		Spread:       often(0.7),
		Reorder:      often(1),
		Delay:        time.Duration(rng.Int64N(int64(20 * time.Millisecond))),
		NoInstall:    often(0.5),
	}
}

func (r *Ring) chance(p float64) bool { return p > 0 && r.rng.Float64() < p }

func (r *Ring) delay() time.Duration {
	if r.faults.Delay <= 0 {
		return 0
	}
	return time.Duration(r.rng.Int64N(int64(r.faults.Delay)))
}

// split returns how many of n bytes go in one piece.
func (r *Ring) split(n int) int {
	if n > 1 && r.chance(r.faults.Split) {
		return 1 + r.rng.IntN(min(n, 1<<r.rng.IntN(10)))
	}
	return n
}
