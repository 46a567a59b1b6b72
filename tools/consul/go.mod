module ipnoelp.io/platform/tools/consul

go 1.26

require github.com/hashicorp/consul v1.22.5

tool github.com/hashicorp/consul
