package password

import (
	"os"
	"testing"
)

func BenchmarkHash(b *testing.B) {
	for name, e := range map[string]engine{"local": local{}, "worker": &remote{open: Program(os.Args[0], asWorker)}} {
		b.Run(name, func(b *testing.B) {
			defer e.close()
			for b.Loop() {
				if _, err := e.do(job{Password: "correct horse"}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
