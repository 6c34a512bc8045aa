// Reads manifests into the types of the Prometheus operator and of KEDA, and refuses unknown fields and wrong types.
//
//	custom-resources FILE...
//
// Objects of other kinds are left out; checks.py looks at those.
package main

import (
	"bytes"
	"fmt"
	"os"

	keda "github.com/kedacore/keda/v2/apis/keda/v1alpha1"
	monitoring "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	"sigs.k8s.io/yaml"
)

func main() {
	found, failed := 0, false
	for _, file := range os.Args[1:] {
		text, err := os.ReadFile(file)
		if err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		for _, document := range bytes.Split(text, []byte("\n---\n")) {
			var object struct {
				APIVersion string `json:"apiVersion"`
				Kind       string `json:"kind"`
			}
			if yaml.Unmarshal(document, &object) != nil {
				continue
			}
			var into any
			switch object.APIVersion + "/" + object.Kind {
			case "monitoring.coreos.com/v1/PodMonitor":
				into = &monitoring.PodMonitor{}
			case "keda.sh/v1alpha1/ScaledObject":
				into = &keda.ScaledObject{}
			default:
				continue
			}
			found++
			if err := yaml.UnmarshalStrict(document, into); err != nil {
				fmt.Printf("%s: %s: %s\n", file, object.Kind, err)
				failed = true
			}
		}
	}
	if found == 0 {
		fmt.Println("no object of the Prometheus operator or KEDA")
		failed = true
	}
	if failed {
		os.Exit(1)
	}
}
