// Package simring is an engine without a kernel: a ring over a simulated network,
// driven by a seed. The same seed gives the same run, down to the last byte, so
// that a failing run is a reproducible test.
//
// A test makes a ring, gives it and its clock to a loop, and alternates between
// the actions of peers and turns of the loop:
//
//	sim := simring.New(seed)
//	loop := conn.NewLoop(conn.Config{Ring: sim, Clock: sim.Now})
//	fd := sim.Listen()
//	loop.Listen(fd, conn.ListenerEvents{Accepted: …})
//	peer := sim.Dial(fd)
//	peer.WriteString("ping\n")
//	sim.Settle(loop.Turn)              // until nothing happens any more
//	sim.Sleep(time.Minute, loop.Turn)  // virtual time
//	peer.Received()
//	loop.Quit()
//	loop.Run()
//	err := sim.Leaks()
//
// Time is virtual: waiting moves the clock to the next event. Whatever an
// asynchronous kernel may do is done, as often as [Faults] says: data comes in
// any pieces, multishot operations end, buffers run out, sends are interrupted,
// connections are reset.
//
// The ring watches over its user as no kernel does. A breach of the contract of
// an engine panics, with the seed: an operation on a descriptor that is closed, a
// close with operations in flight, a second send or receive on one descriptor,
// a token in use twice, a buffer released twice, bytes that changed while they
// were being sent. What is left at the end is told by [Ring.Leaks].
//
// A ring and its peers belong to one goroutine; only Wake is for others.
package simring
