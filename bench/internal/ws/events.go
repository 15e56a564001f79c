package ws

// Server-sent events are what a room is over HTTP: whoever asks for Events gets a stream of
// them, and whoever asks for Publish has one sent to all streams.
const (
	Events  = "/events"
	Publish = "/publish" // answered like any other request when all have been told

	// EventSize is how many bytes of data an event has.
	EventSize = 64
)

// EventData returns the data of the events.
func EventData() string { return string(Payload(EventSize)) }

// Event returns an event as it is sent, but for what a chunk has around it.
func Event() []byte { return []byte("data: " + EventData() + "\n\n") }
