package embedded

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// InUseError says that another process has the data folder.
type InUseError struct {
	Dir string
	PID int    // 0 where unknown
	URL string // what it serves; "" where unknown
}

// Error tells who has the folder and where that one serves.
func (e *InUseError) Error() string {
	s := "already running"
	if e.PID != 0 {
		s += fmt.Sprintf(", pid %d", e.PID)
	}
	if e.URL != "" {
		s += ", " + e.URL
	}
	return fmt.Sprintf("%s: it has the data folder %s; stop it, or choose another folder with --data", s, e.Dir)
}

// folderLock is held by the process that has the data folder. The kernel frees
// it however the process ends. The file stays: removing it would let two
// processes lock two files of one name.
type folderLock struct{ file *os.File }

func lockFolder(dir string) (*folderLock, error) {
	f, err := os.OpenFile(filepath.Join(dir, "graphtide.lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		defer f.Close()
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("lock the data folder %s: %w", dir, err)
		}
		e := &InUseError{Dir: dir}
		if b, err := os.ReadFile(f.Name()); err == nil {
			pid, url, _ := strings.Cut(strings.TrimSpace(string(b)), "\n")
			e.PID, _ = strconv.Atoi(pid)
			e.URL = url
		}
		return nil, e
	}
	l := &folderLock{f}
	if err := l.announce(""); err != nil {
		l.release()
		return nil, err
	}
	return l, nil
}

// announce writes down who holds the lock and what it serves.
func (l *folderLock) announce(url string) error {
	text := []byte(strconv.Itoa(os.Getpid()) + "\n" + url + "\n")
	if err := l.file.Truncate(0); err != nil {
		return err
	}
	_, err := l.file.WriteAt(text, 0)
	return err
}

func (l *folderLock) release() { l.file.Close() }

// enterable reports why the user uid could not come to dir: a folder on the way
// that others may not enter, such as the home folder of root.
func enterable(dir string, uid uint32) error {
	for p := filepath.Dir(dir); ; p = filepath.Dir(p) {
		info, err := os.Stat(p)
		if err != nil {
			return err
		}
		st, ok := info.Sys().(*syscall.Stat_t)
		if !ok || (info.Mode().Perm()&0o001 == 0 && st.Uid != uid) {
			return fmt.Errorf("started by root, Postgres runs as another user, and that user cannot enter %s (mode %o): choose a data folder elsewhere, for instance --data /var/lib/graphtide", p, info.Mode().Perm())
		}
		if p == filepath.Dir(p) {
			return nil
		}
	}
}
