// Package consumers is a module of its own, of tests only: programs written for
// net/http's server, with libraries that know nothing of ringkit, have to run
// unchanged on ringkit. Each test runs on net/http's server first. What fails there
// is a mistake of the test; what fails on ringkit alone is one of ringkit.
//
// The other way round, clients of other people talk to ringkit's own WebSockets: those
// of libraries, and scripts in testdata for those of other languages.
package consumers
