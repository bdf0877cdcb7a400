// Package deploytest tests the files that deploy the platform against the code that they deploy.
package deploytest
