// own_network runs a program in a network of its own: it may listen on any port, on all interfaces, and only
// this machine's loopback reaches it.
//
//	own_network [-publish PORT:INSIDE]... [-reach PORT]... PROGRAM [ARGUMENT]...
//
// A connection to 127.0.0.1:PORT arrives at the program's port INSIDE. The program, in turn, finds what listens
// on 127.0.0.1:PORT of the machine under the same address.
//
// No privileges are needed: the network namespace belongs to a user namespace of the caller's. Since nobody
// outside may enter it, a second process of ours waits inside and hands out sockets made there.
package main

import (
	"fmt"
	"log"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
)

const loopback = "127.0.0.1"

// The name under which the program starts itself for the inside.
const insideName = "own_network-inside"

func main() {
	log.SetFlags(0)
	log.SetPrefix("own_network: ")
	if os.Args[0] == insideName {
		log.Fatal(runInside(os.Args[1:]))
	}
	options, program, err := parse(os.Args[1:])
	if err != nil {
		log.Fatal(err)
	}
	code, err := run(options, program)
	if err != nil {
		log.Fatal(err)
	}
	os.Exit(code)
}

type options struct {
	published map[int]int // our port to the program's
	reached   []int
}

func parse(arguments []string) (options, []string, error) {
	told := options{published: map[int]int{}}
	for len(arguments) >= 2 && strings.HasPrefix(arguments[0], "-") {
		first, second, paired := strings.Cut(arguments[1], ":")
		outer, err := strconv.ParseUint(first, 10, 16)
		if err != nil {
			return told, nil, err
		}
		switch {
		case arguments[0] == "-publish" && paired:
			inner, err := strconv.ParseUint(second, 10, 16)
			if err != nil {
				return told, nil, err
			}
			told.published[int(outer)] = int(inner)
		case arguments[0] == "-reach" && !paired:
			told.reached = append(told.reached, int(outer))
		default:
			return told, nil, fmt.Errorf("no such option: %s %s", arguments[0], arguments[1])
		}
		arguments = arguments[2:]
	}
	if len(arguments) == 0 {
		return told, nil, fmt.Errorf("no program was named")
	}
	return told, arguments, nil
}

// run returns the program's exit code. Everything listens before the program starts.
func run(told options, program []string) (int, error) {
	published := map[int]net.Listener{}
	for outer, inner := range told.published {
		listener, err := net.Listen("tcp", address(outer))
		if err != nil {
			return 0, err
		}
		published[inner] = listener
	}
	ours, theirs, err := socketPair()
	if err != nil {
		return 0, err
	}
	inside := exec.Command("/proc/self/exe", program...)
	inside.Args[0] = insideName
	inside.Stdout, inside.Stderr = os.Stdout, os.Stderr
	inside.ExtraFiles = []*os.File{theirs}
	inside.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNET,
		UidMappings: []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}},
	}
	if err := inside.Start(); err != nil {
		return 0, fmt.Errorf("no network of its own can be made: %w", err)
	}
	theirs.Close()
	go handOn(inside.Process)
	if err := connect(&maker{channel: ours}, published, told.reached); err != nil {
		inside.Process.Kill()
		return 0, err
	}
	inside.Wait()
	return inside.ProcessState.ExitCode(), nil
}

// connect relays both ways, and then lets the program start.
func connect(inside *maker, published map[int]net.Listener, reached []int) error {
	for _, port := range reached {
		listener, err := inside.listen(port)
		if err != nil {
			return err
		}
		go accept(listener, func() (net.Conn, error) { return net.Dial("tcp", address(port)) })
	}
	for port, listener := range published {
		go accept(listener, func() (net.Conn, error) { return inside.dial(port) })
	}
	return inside.start()
}

// handOn lets the process end in its own way when we are asked to end.
func handOn(process *os.Process) {
	asked := make(chan os.Signal, 1)
	signal.Notify(asked, syscall.SIGTERM, syscall.SIGINT)
	for number := range asked {
		process.Signal(number)
	}
}

func address(port int) string {
	return net.JoinHostPort(loopback, strconv.Itoa(port))
}
