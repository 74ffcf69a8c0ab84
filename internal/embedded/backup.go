package embedded

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// BackupConfig says what a base backup is for.
type BackupConfig struct {
	// DataDir is where it goes: a folder that StartPostgres then takes.
	DataDir string
	// From is where the server is reached, host:port or the folder of its socket;
	// "" is its own socket. A standby goes on from there.
	From string
	// Standby makes it a standby that follows the server; without, it stands for
	// itself, as of now.
	Standby bool
}

// Backup makes a base backup of a server that was started with wal_level=replica
// and max_wal_senders above 1.
func Backup(ctx context.Context, p *Postgres, cfg BackupConfig) error {
	dir, err := filepath.Abs(cfg.DataDir)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	acct, err := lowered()
	if err != nil {
		return err
	}
	data := filepath.Join(dir, "postgres")
	if acct != nil {
		if err := enterable(data, acct.uid); err != nil {
			return err
		}
	}
	if err := acct.own(data); err != nil {
		return err
	}
	host, port := p.socket, "5432"
	if cfg.From != "" {
		host = cfg.From
		if i := strings.LastIndexByte(host, ':'); i >= 0 {
			host, port = host[:i], host[i+1:]
		}
	}
	args := []string{"--pgdata", data, "--host", host, "--port", port, "--username", dbUser, "--no-password",
		"--checkpoint", "fast", "--wal-method", "stream", "--no-sync"}
	if cfg.Standby {
		args = append(args, "--write-recovery-conf")
	}
	cmd := exec.CommandContext(ctx, filepath.Join(p.bin.Dir, "pg_basebackup"), args...)
	cmd.Env, cmd.Dir = p.bin.env(), "/"
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	c, err := startChild(cmd, acct.credential())
	if err != nil {
		return fmt.Errorf("run pg_basebackup: %w", err)
	}
	<-c.done
	if c.err != nil {
		return fmt.Errorf("pg_basebackup into %s: %w\n%s", data, c.err, tail(out.Bytes()))
	}
	return nil
}
