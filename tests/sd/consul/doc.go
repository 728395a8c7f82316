// Module falconkit.tests/consul pins the Consul server that the tests of discovery run against.
//
//	go build -mod=readonly -o consul github.com/hashicorp/consul
package main
