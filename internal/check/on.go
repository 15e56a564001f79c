//go:build race || ringkitcheck

package check

// Enabled is true in builds with the race detector or the tag ringkitcheck.
const Enabled = true
