package whatsapp

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// lockFile is in the profile's folder. Headless Chromium takes no lock that
// would keep two of them from writing the same login.
const lockFile = ".slice.lock"

// errProfileInUse says that another process drives a browser on the profile.
var errProfileInUse = errors.New("the profile is in use by another process")

// lockProfile makes dir and takes its lock, which ends with the process at the
// latest.
func lockProfile(dir string) (unlock func(), err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make profile folder: %w", err)
	}
	f, err := os.OpenFile(filepath.Join(dir, lockFile), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open profile lock: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		f.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, errProfileInUse
		}
		return nil, fmt.Errorf("lock profile: %w", err)
	}
	return func() {
		// A child that is being started has the file open until it executes its
		// program: closing alone would leave the lock with it.
		_ = syscall.Flock(int(f.Fd()), syscall.LOCK_UN)
		f.Close()
	}, nil
}
