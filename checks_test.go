package ringkit

import "github.com/ringkit/ringkit/internal/check"

const checksEnabled = check.Enabled
