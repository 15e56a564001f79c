module example.com/consumer

go 1.26.0

require github.com/ringkit/ringkit v0.0.0

require (
	github.com/andybalholm/brotli v1.2.8 // indirect
	github.com/iceber/iouring-go v0.0.0-20230403020409-002cfd2e2a90 // indirect
	github.com/klauspost/compress v1.20.0 // indirect
	golang.org/x/net v0.62.0 // indirect
	golang.org/x/sys v0.49.0 // indirect
	golang.org/x/text v0.43.0 // indirect
)

replace github.com/ringkit/ringkit => ../..
