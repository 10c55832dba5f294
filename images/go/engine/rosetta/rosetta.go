// Package rosetta answers for Apple's Rosetta, which no Linux host that builds an engine here has.
//
// The Docker client imports github.com/tonistiigi/go-rosetta for one line of `docker info`;
// module proxies that refuse that module are served by this one.
package rosetta

import "runtime"

// Enabled reports whether this process is translated by Rosetta: never here.
func Enabled() bool { return false }

// NativeArch is the architecture of the processor.
func NativeArch() string { return runtime.GOARCH }
