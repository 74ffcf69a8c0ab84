package embedded

import (
	"fmt"
	"os"
	"os/user"
	"strconv"
	"syscall"
)

// account is whom a child runs as: nil for ourselves.
type account struct{ uid, gid uint32 }

// lowered gives the account for Postgres, which refuses to run as root: the
// user postgres, else nobody. Nil where we are not root.
func lowered() (*account, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, err1 := strconv.ParseUint(u.Uid, 10, 32)
		gid, err2 := strconv.ParseUint(u.Gid, 10, 32)
		if err1 == nil && err2 == nil && uid != 0 {
			return &account{uint32(uid), uint32(gid)}, nil
		}
	}
	return nil, fmt.Errorf("started by root, Postgres must run as another user, and there is neither postgres nor nobody: start as an ordinary user, or make one with useradd --system postgres")
}

func (a *account) credential() *syscall.Credential {
	if a == nil {
		return nil
	}
	return &syscall.Credential{Uid: a.uid, Gid: a.gid, Groups: []uint32{}}
}

func (a *account) uidOrOwn() uint32 {
	if a == nil {
		return uint32(os.Geteuid())
	}
	return a.uid
}

// own makes a private folder that belongs to the account. One that is there
// already must belong to it: under a temp folder anybody could have made it.
func (a *account) own(dir string) error {
	err := os.Mkdir(dir, 0o700)
	switch {
	case err == nil:
		if a != nil {
			return os.Chown(dir, int(a.uid), int(a.gid))
		}
		return nil
	case !os.IsExist(err):
		return err
	}
	info, err := os.Lstat(dir)
	if err != nil {
		return err
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok || !info.IsDir() || st.Uid != a.uidOrOwn() {
		return fmt.Errorf("%s is not a folder of the user that Postgres runs as (uid %d): remove it", dir, a.uidOrOwn())
	}
	return os.Chmod(dir, 0o700)
}
