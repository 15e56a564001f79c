package main

import (
	"fmt"
	"io"
	"time"

	"github.com/ringkit/ringkit/bench/internal/procfs"
	"github.com/ringkit/ringkit/bench/internal/stats"
)

// rssPoint is the server's memory when so many requests were done.
type rssPoint struct {
	done int64
	rss  int64
}

// watcher looks at a server while a load runs.
type watcher struct {
	srv    *running
	load   *churnLoad
	every  time.Duration // between progress lines
	w      io.Writer
	points []rssPoint
}

// run watches until finished is closed.
func (w *watcher) run(finished <-chan struct{}) error {
	start := time.Now()
	look := time.NewTicker(pollInterval)
	defer look.Stop()
	lastTime, lastDone := start, int64(0)
	for {
		over := false
		select {
		case <-finished:
			over = true
		case <-look.C:
		}
		rss, err := procfs.ReadRSS(w.srv.PID)
		if err != nil {
			return err
		}
		now, done := time.Now(), w.load.done()
		w.points = append(w.points, rssPoint{done, rss})
		if over || now.Sub(lastTime) >= w.every {
			if err := w.progress(now.Sub(start), done, float64(done-lastDone)/now.Sub(lastTime).Seconds(), rss); err != nil {
				return err
			}
			lastTime, lastDone = now, done
		}
		if over {
			return nil
		}
	}
}

func (w *watcher) progress(elapsed time.Duration, done int64, perSecond float64, rss int64) error {
	fds, err := procfs.CountFDs(w.srv.PID)
	if err != nil {
		return err
	}
	threads, err := procfs.CountThreads(w.srv.PID)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(w.w, "%5.0f s  %10d requests  %7.0f/s  %8d connections  RSS %s  %d descriptors  %d threads\n",
		elapsed.Seconds(), done, perSecond, w.load.connections.Load(), mib(rss), fds, threads)
	return err
}

// growth returns the memory early in a run, from 20 to 30 % of its requests, and
// late, from 90 to 100 %: medians, since one look may fall just before or just
// after a garbage collection. It is not ok if nobody looked in either part.
func growth(points []rssPoint, total int64) (early, late int64, ok bool) {
	var first, last []int64
	for _, p := range points {
		share := float64(p.done) / float64(total)
		switch {
		case share >= 0.2 && share < 0.3:
			first = append(first, p.rss)
		case share >= 0.9:
			last = append(last, p.rss)
		}
	}
	return stats.Median(first), stats.Median(last), len(first) > 0 && len(last) > 0
}
