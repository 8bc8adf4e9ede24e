//go:build !amd64

package kernel

var sets = []*Set{portable}
