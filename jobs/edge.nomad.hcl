# The edge: nginx with TLS, the SPA's files, and the way to the gateways that
# Consul knows.
#
# Secrets (Nomad Variable nomad/jobs/edge): tls_certificate, tls_key (PEM).
# The task's Consul token comes from its workload identity and can read the
# gateway's addresses only.

variable "image" {
  type        = string
  description = "edge image: nginx and the SPA"
}

variable "datacenters" {
  type    = list(string)
  default = ["*"]
}

variable "host_network" {
  type        = string
  default     = "default"
  description = "Nomad host network that browsers arrive on"
}

variable "https_port" {
  type    = number
  default = 443
}

variable "memory_max" {
  type        = number
  default     = 512
  description = "MiB: 14 for each change of the gateways in the last ten minutes, 1 for every 20 sockets"
}

variable "demo" {
  type        = bool
  default     = false
  description = "tell the SPA that WhatsApp is a stand-in"
}

variable "phone_url" {
  type        = string
  default     = ""
  description = "phone page of the stand-in; demo mode only"
}

job "edge" {
  type        = "service"
  datacenters = var.datacenters

  ui {
    description = "nginx: TLS, the web app, reverse proxy to the gateways."
  }

  group "edge" {
    network {
      port "https" {
        static       = var.https_port
        host_network = var.host_network
      }
    }

    consul {}

    restart {
      attempts = 20
      interval = "1m"
      delay    = "1s"
      mode     = "delay"
    }

    service {
      name     = "edge"
      port     = "https"
      provider = "consul"
      check {
        type            = "http"
        protocol        = "https"
        path            = "/edge-health"
        tls_skip_verify = true
        interval        = "2s"
        timeout         = "2s"
      }
    }

    task "nginx" {
      driver       = "docker"
      kill_signal  = "SIGQUIT" # finish what is under way
      kill_timeout = "30s"

      identity {
        name = "consul_default"
        aud  = ["consul.io"]
        ttl  = "1h"
      }

      config {
        image           = var.image
        force_pull      = false
        network_mode    = "host"
        cap_drop        = ["all"]
        security_opt    = ["no-new-privileges"]
        readonly_rootfs = true
        pids_limit      = 128
        mount {
          type   = "tmpfs"
          target = "/tmp"
        }
      }

      template {
        destination   = "secrets/certificate.pem"
        change_mode   = "signal"
        change_signal = "SIGHUP"
        uid           = 10001
        perms         = "0400"
        data          = "{{ with nomadVar \"nomad/jobs/edge\" }}{{ .tls_certificate }}{{ end }}"
      }

      template {
        destination   = "secrets/key.pem"
        change_mode   = "signal"
        change_signal = "SIGHUP"
        uid           = 10001
        perms         = "0400"
        data          = "{{ with nomadVar \"nomad/jobs/edge\" }}{{ .tls_key }}{{ end }}"
      }

      # Where no gateway passes its check nginx asks those that there are: one slow
      # answer to a check is no reason to turn everybody away. With none at all it
      # still starts, and answers itself.
      template {
        destination   = "local/upstream.conf"
        change_mode   = "signal"
        change_signal = "SIGHUP"
        # Sooner than a gateway's shutdown_delay is over; Nomad would put the signal
        # off by up to 5 s.
        splay = "0s"
        wait {
          min = "100ms"
          max = "1s"
        }
        data          = <<-EOT
          {{ define "servers" }}
              {{ range . }}
              server {{ .Address }}:{{ .Port }} max_fails=1 fail_timeout=2s;
              {{ else }}
              server 127.0.0.1:9 down;
              {{ end }}
          {{ end }}
          {{ $gateways := service "gateway" }}
          {{ if not $gateways }}{{ $gateways = service "gateway|any" }}{{ end }}
          upstream gateway {
              {{ template "servers" $gateways }}
              server unix:/tmp/newest.sock backup max_fails=0;
              keepalive 64;
              keepalive_timeout 120s;
          }
          upstream newest_gateway {
              {{ template "servers" $gateways }}
          }
        EOT
      }

      template {
        destination = "local/listen.conf"
        change_mode = "restart"
        data        = "listen {{ env \"NOMAD_ADDR_https\" }} ssl http2;\n"
      }

      template {
        destination = "local/config.json"
        change_mode = "noop"
        data        = jsonencode({ demo = var.demo, phone_url = var.phone_url })
      }

      resources {
        cpu        = 300
        memory     = 128
        memory_max = var.memory_max
      }
    }
  }
}
