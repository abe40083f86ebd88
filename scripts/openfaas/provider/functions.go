package main

import (
	"fmt"
	"math/rand/v2"
	"net/url"
	"sort"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/openfaas/faas-provider/types"
)

// The only one, as in the Community Edition.
const namespace = "openfaas-fn"

// function is known because it was deployed, because replicas of it run, or both.
type function struct {
	deployment types.FunctionDeployment
	endpoints  []url.URL
	wanted     uint64 // replicas asked for by scaling, 0 for as many as there are
	since      time.Time
	calls      atomic.Uint64
}

// functions is everything the provider knows, none of it outliving the provider.
type functions struct {
	lock        sync.RWMutex
	byName      map[string]*function
	deployments []types.FunctionDeployment
}

func newFunctions() *functions {
	return &functions{byName: map[string]*function{}, deployments: []types.FunctionDeployment{}}
}

// Resolve picks a replica at random, as faas-netes does.
func (f *functions) Resolve(name string) (url.URL, error) {
	f.lock.RLock()
	defer f.lock.RUnlock()
	found := f.byName[plain(name)]
	if found == nil || len(found.endpoints) == 0 {
		return url.URL{}, fmt.Errorf("no replica of %s runs", name)
	}
	found.calls.Add(1)
	return found.endpoints[rand.IntN(len(found.endpoints))], nil
}

func (f *functions) all() []types.FunctionStatus {
	f.lock.RLock()
	defer f.lock.RUnlock()
	found := make([]types.FunctionStatus, 0, len(f.byName))
	for name, each := range f.byName {
		found = append(found, each.status(name))
	}
	sort.Slice(found, func(i, j int) bool { return found[i].Name < found[j].Name })
	return found
}

func (f *functions) get(name string) (types.FunctionStatus, bool) {
	f.lock.RLock()
	defer f.lock.RUnlock()
	if found := f.byName[plain(name)]; found != nil {
		return found.status(plain(name)), true
	}
	return types.FunctionStatus{}, false
}

func (f *functions) put(wanted types.FunctionDeployment) {
	f.lock.Lock()
	defer f.lock.Unlock()
	f.named(wanted.Service).deployment = wanted
	f.deployments = append(f.deployments, wanted)
}

func (f *functions) run(name string, endpoints []url.URL) {
	f.lock.Lock()
	defer f.lock.Unlock()
	f.named(plain(name)).endpoints = endpoints
}

func (f *functions) want(name string, replicas uint64) bool {
	f.lock.Lock()
	defer f.lock.Unlock()
	found := f.byName[plain(name)]
	if found != nil {
		found.wanted = replicas
	}
	return found != nil
}

func (f *functions) delete(name string) bool {
	f.lock.Lock()
	defer f.lock.Unlock()
	_, exists := f.byName[name]
	delete(f.byName, name)
	return exists
}

func (f *functions) deployed() []types.FunctionDeployment {
	f.lock.RLock()
	defer f.lock.RUnlock()
	return f.deployments[:len(f.deployments):len(f.deployments)]
}

func (f *functions) named(name string) *function {
	if f.byName[name] == nil {
		f.byName[name] = &function{since: time.Now()}
	}
	return f.byName[name]
}

func (f *function) status(name string) types.FunctionStatus {
	available := uint64(len(f.endpoints))
	wanted := f.wanted
	if wanted == 0 {
		wanted = available
	}
	return types.FunctionStatus{
		Name:                   name,
		Namespace:              namespace,
		Image:                  f.deployment.Image,
		EnvProcess:             f.deployment.EnvProcess,
		EnvVars:                f.deployment.EnvVars,
		Constraints:            f.deployment.Constraints,
		Secrets:                f.deployment.Secrets,
		Labels:                 f.deployment.Labels,
		Annotations:            f.deployment.Annotations,
		Limits:                 f.deployment.Limits,
		Requests:               f.deployment.Requests,
		ReadOnlyRootFilesystem: f.deployment.ReadOnlyRootFilesystem,
		Replicas:               wanted,
		AvailableReplicas:      available,
		CreatedAt:              f.since,
	}
}

// plain is the name without the namespace that faas-cli adds to it.
func plain(name string) string {
	return strings.TrimSuffix(name, "."+namespace)
}
