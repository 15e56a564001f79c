// Package browser tests the examples with a page in them in Chromium, a real client. It is
// a module of its own, so that what drives the browser stays out of the root module.
package browser
