module github.com/ringkit/ringkit

go 1.26.0

require (
	github.com/andybalholm/brotli v1.2.8
	github.com/iceber/iouring-go v0.0.0-20230403020409-002cfd2e2a90
	github.com/klauspost/compress v1.20.0
	golang.org/x/net v0.62.0
	golang.org/x/sys v0.49.0
	golang.org/x/text v0.43.0
)
