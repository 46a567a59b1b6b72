package password

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"
)

const (
	// jobTimeout is for one job on a machine that is very busy.
	jobTimeout = 30 * time.Second

	// socketWait bounds the wait for a worker that is being started again.
	socketWait, socketPause = 10 * time.Second, 50 * time.Millisecond
)

// Opener makes a connection to a worker, which does one job of it at a time.
// Closing it makes who reads from it stop, too.
type Opener func() (io.ReadWriteCloser, error)

// Program returns an opener that starts this program, which runs Work, for each
// connection.
func Program(name string, args ...string) Opener {
	return func() (io.ReadWriteCloser, error) {
		// It outlives the request that it is started for; Close ends it.
		cmd := exec.CommandContext(context.Background(), name, args...) //nolint:gosec // no request names it
		cmd.Env = []string{}                                            // it needs no secret
		cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}           // see Work
		cmd.Stderr = os.Stderr
		in, err := cmd.StdinPipe()
		if err != nil {
			return nil, err
		}
		out, err := cmd.StdoutPipe()
		if err != nil {
			return nil, err
		}
		if err := cmd.Start(); err != nil {
			return nil, err
		}
		p := &process{Reader: out, Writer: in, cmd: cmd}
		p.end = sync.OnceFunc(func() {
			in.Close() // it leaves when its input ends
			stuck := time.AfterFunc(time.Second, func() { _ = cmd.Process.Kill() })
			defer stuck.Stop()
			_ = cmd.Wait() // what it answered is known already
		})
		return p, nil
	}
}

// process is a worker that runs for one connection.
type process struct {
	io.Reader
	io.Writer
	cmd *exec.Cmd
	end func()
}

func (p *process) Close() error {
	p.end()
	return nil
}

// Socket returns an opener that connects to the program that serves this Unix
// socket; see Serve.
func Socket(path string) Opener {
	return func() (io.ReadWriteCloser, error) {
		for start := time.Now(); ; time.Sleep(socketPause) {
			conn, err := (&net.Dialer{Timeout: socketWait}).DialContext(context.Background(), "unix", path)
			if err == nil || time.Since(start) > socketWait {
				return conn, err
			}
		}
	}
}

// remote has a worker do the jobs. It connects for the first one, and anew after
// one failed. One job at a time.
type remote struct {
	open Opener

	conn io.ReadWriteCloser // nil while there is none
	send *json.Encoder
	recv *json.Decoder
}

// do tries twice: a worker may have been killed since its last job, and a job
// that is done again harms nobody.
func (r *remote) do(j job) (outcome, error) {
	out, err := r.try(j)
	if err != nil {
		out, err = r.try(j)
	}
	return out, err
}

func (r *remote) try(j job) (out outcome, err error) {
	if r.conn == nil {
		conn, err := r.open()
		if err != nil {
			return out, fmt.Errorf("worker: %w", err)
		}
		r.conn, r.send, r.recv = conn, json.NewEncoder(conn), json.NewDecoder(conn)
	}
	conn := r.conn
	stuck := time.AfterFunc(jobTimeout, func() { conn.Close() })
	defer stuck.Stop()
	if err = r.send.Encode(j); err == nil { //nolint:gosec // it leads to the worker alone
		err = r.recv.Decode(&out)
	}
	if err != nil {
		r.close()
		return outcome{}, fmt.Errorf("worker: %w", err)
	}
	return out, nil
}

func (r *remote) close() {
	if r.conn != nil {
		r.conn.Close()
		r.conn = nil
	}
}
