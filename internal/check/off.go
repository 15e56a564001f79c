//go:build !race && !ringkitcheck

package check

// Enabled is false in ordinary builds; code behind it is compiled away.
const Enabled = false
