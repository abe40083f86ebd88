package main

import (
	"encoding/json"
	"fmt"
	"log"
	"net/http"
	"net/url"

	"github.com/gorilla/mux"
	"github.com/openfaas/faas-provider/types"
)

// invoke says why a function that was deployed does not answer, unless something runs it; all else is the proxy's.
func (f *functions) invoke(proxy http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		name := mux.Vars(r)["name"]
		if found, exists := f.get(name); exists && found.AvailableReplicas == 0 && found.Image != "" {
			w.Header().Set("Retry-After", "60")
			http.Error(w, fmt.Sprintf("%s is deployed, but nothing runs it: the provider of scripts/up runs no "+
				"containers. Deploy it to a cluster or to faasd; or run it yourself and tell the provider where, "+
				"by PUT /endpoints/%s.", plain(name), plain(name)), http.StatusServiceUnavailable)
			return
		}
		proxy(w, r)
	}
}

func (f *functions) list(w http.ResponseWriter, _ *http.Request) {
	answer(w, f.all())
}

func (f *functions) status(w http.ResponseWriter, r *http.Request) {
	if found, exists := f.get(mux.Vars(r)["name"]); exists {
		answer(w, found)
		return
	}
	unknown(w, mux.Vars(r)["name"])
}

func (f *functions) deploy(w http.ResponseWriter, r *http.Request) {
	var wanted types.FunctionDeployment
	if read(w, r, &wanted) && inOurs(w, wanted.Namespace) {
		f.put(wanted)
		w.WriteHeader(http.StatusAccepted)
	}
}

// update refuses an unknown function, upon which faas-cli deploys it.
func (f *functions) update(w http.ResponseWriter, r *http.Request) {
	var wanted types.FunctionDeployment
	if !read(w, r, &wanted) || !inOurs(w, wanted.Namespace) {
		return
	}
	if _, exists := f.get(wanted.Service); !exists {
		unknown(w, wanted.Service)
		return
	}
	f.put(wanted)
	w.WriteHeader(http.StatusAccepted)
}

func (f *functions) remove(w http.ResponseWriter, r *http.Request) {
	var unwanted types.DeleteFunctionRequest
	if !read(w, r, &unwanted) || !inOurs(w, unwanted.Namespace) {
		return
	}
	if !f.delete(unwanted.FunctionName) {
		unknown(w, unwanted.FunctionName)
		return
	}
	w.WriteHeader(http.StatusAccepted)
}

// scale notes how many replicas are wanted. The program that runs the function registers those that there are.
func (f *functions) scale(w http.ResponseWriter, r *http.Request) {
	var wanted types.ScaleServiceRequest
	if !read(w, r, &wanted) {
		return
	}
	if !f.want(mux.Vars(r)["name"], wanted.Replicas) {
		unknown(w, mux.Vars(r)["name"])
		return
	}
	w.WriteHeader(http.StatusAccepted)
}

func (f *functions) register(w http.ResponseWriter, r *http.Request) {
	var texts []string
	if !read(w, r, &texts) {
		return
	}
	endpoints := make([]url.URL, 0, len(texts))
	for _, text := range texts {
		endpoint, err := url.Parse(text)
		if err != nil || endpoint.Scheme != "http" || endpoint.Port() == "" {
			http.Error(w, fmt.Sprintf("%q is no http://HOST:PORT.", text), http.StatusBadRequest)
			return
		}
		endpoints = append(endpoints, *endpoint)
	}
	f.run(mux.Vars(r)["name"], endpoints)
}

func (f *functions) listDeployments(w http.ResponseWriter, _ *http.Request) {
	answer(w, f.deployed())
}

func listNamespaces(w http.ResponseWriter, _ *http.Request) {
	answer(w, []string{namespace})
}

func info(w http.ResponseWriter, _ *http.Request) {
	answer(w, types.ProviderInfo{
		Name:          "builder-fn",
		Version:       &types.VersionInfo{Release: "faas-provider v0.25.8"},
		Orchestration: "processes of one machine",
	})
}

func refuse(why string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "This provider has no "+why+".", http.StatusNotImplemented)
	}
}

func unknown(w http.ResponseWriter, name string) {
	http.Error(w, fmt.Sprintf("No function is named %q.", name), http.StatusNotFound)
}

func inOurs(w http.ResponseWriter, asked string) bool {
	if asked == "" || asked == namespace {
		return true
	}
	http.Error(w, "The only namespace here is "+namespace+".", http.StatusBadRequest)
	return false
}

func read(w http.ResponseWriter, r *http.Request, document any) bool {
	err := json.NewDecoder(r.Body).Decode(document)
	if err != nil {
		http.Error(w, "The body is not the JSON that belongs here: "+err.Error(), http.StatusBadRequest)
	}
	return err == nil
}

func answer(w http.ResponseWriter, document any) {
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(document); err != nil {
		log.Print(err)
	}
}
