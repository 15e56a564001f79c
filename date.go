package ringkit

import (
	"sync/atomic"
	"time"

	"github.com/ringkit/ringkit/http1"
)

// dateLine is the Date field of one second.
type dateLine struct {
	second int64
	line   []byte
}

var currentDate atomic.Pointer[dateLine]

// appendDate appends the Date field for t, formatted once a second.
func appendDate(dst []byte, t time.Time) []byte {
	d := currentDate.Load()
	if second := t.Unix(); d == nil || d.second != second {
		d = &dateLine{second, http1.AppendDate(nil, t)}
		currentDate.Store(d)
	}
	return append(dst, d.line...)
}
