# The gateway: stateless, two or more instances behind the edge.
#
# Secrets (Nomad Variable nomad/jobs/gateway): database_url, consul_http_token,
# nomad_token, platform_key, admin_email, admin_password (the last two only for
# the first admin; may be absent), smtp_username, smtp_password (where the mail
# server asks for them), otlp_headers (name=value,… where the collector asks).

variable "image" {
  type        = string
  description = "gateway image"
}

variable "datacenters" {
  type    = list(string)
  default = ["*"]
}

variable "count" {
  type        = number
  default     = 2
  description = "gateways; each uses one core at most, besides its password-hasher"
}

variable "host_network" {
  type        = string
  default     = "default"
  description = "Nomad host network that the edge reaches the gateway on"
}

variable "public_url" {
  type        = string
  description = "where browsers reach the platform, such as https://app.example.com"
}

variable "consul_http_addr" {
  type        = string
  default     = "127.0.0.1:8500"
  description = "the Consul agent of the same machine"
}

variable "nomad_addr" {
  type        = string
  default     = "http://127.0.0.1:4646"
  description = "the Nomad agent of the same machine, for the admins' views"
}

variable "nomad_ui_url" {
  type        = string
  default     = ""
  description = "where admins find the Nomad UI; no links when empty"
}

variable "warm_target" {
  type        = number
  default     = 1
  description = "shown to admins; the provisioner's own value counts"
}

variable "trusted_proxies" {
  type        = string
  default     = "127.0.0.1/32"
  description = "CIDRs of the edge, separated by commas: whose X-Forwarded-For counts"
}

variable "server_timing" {
  type        = bool
  default     = false
  description = "tell in a Server-Timing header what hashing took; for benchmarks"
}

variable "mail_from" {
  type        = string
  default     = "CRM <no-reply@localhost.localdomain>"
  description = "sender of mails: \"Name <address>\""
}

variable "smtp_addr" {
  type        = string
  default     = ""
  description = "host:port of the mail server: sign-ups begin with a mail then; with neither this nor mail_outbox no mail is sent"
}

variable "smtp_tls" {
  type        = string
  default     = "starttls"
  description = "starttls (usually port 587), implicit (465) or none"
}

variable "mail_outbox" {
  type        = string
  default     = ""
  description = "log: mails are written into the gateway's log instead; for demos only, since their links are as good as passwords"
}

variable "otlp_endpoint" {
  type        = string
  default     = ""
  description = "OTLP/HTTP collector that gets traces, such as http://127.0.0.1:4318; none when empty"
}

variable "trace_ratio" {
  type        = string
  default     = "1"
  description = "part of the traces that is kept, 0 to 1"
}

job "gateway" {
  type        = "service"
  datacenters = var.datacenters

  ui {
    description = "Authentication, routing to the slices, admin routes."
  }

  update {
    max_parallel     = 1
    health_check     = "checks"
    min_healthy_time = "2s"
    healthy_deadline = "2m"
    auto_revert      = true
  }

  group "gateway" {
    count = var.count

    network {
      port "http" {
        host_network = var.host_network
      }
    }

    restart {
      attempts = 20
      interval = "1m"
      delay    = "1s"
      mode     = "delay"
    }

    service {
      name     = "gateway"
      port     = "http"
      provider = "consul"
      check {
        type     = "http"
        path     = "/readyz"
        interval = "1s"
        timeout  = "2s"
      }
    }

    # Out of Consul first: the edge sends nobody here any more when it is told to stop.
    shutdown_delay = "5s"

    # Beside the gateway, so that a burst of sign-ups holds up nobody: between
    # containers the CPU shares decide who goes first, and these are the fewest.
    task "password-hasher" {
      driver = "docker"

      lifecycle {
        hook    = "prestart"
        sidecar = true
      }

      config {
        image           = var.image
        force_pull      = false
        args            = ["hash-passwords", "${NOMAD_ALLOC_DIR}/tmp/hash.sock"]
        network_mode    = "none"
        cap_drop        = ["all"]
        security_opt    = ["no-new-privileges"]
        readonly_rootfs = true
        pids_limit      = 64
      }

      resources {
        cpu    = 50
        memory = 128
      }
    }

    task "gateway" {
      driver       = "docker"
      leader       = true # told to stop, it needs its password-hasher to the end
      kill_timeout = "45s"

      config {
        image           = var.image
        force_pull      = false
        network_mode    = "host" # the machine's Consul agent is on its loopback
        cap_drop        = ["all"]
        security_opt    = ["no-new-privileges"]
        readonly_rootfs = true
        pids_limit      = 512
      }

      env {
        LISTEN_ADDR      = "${NOMAD_ADDR_http}"
        PUBLIC_URL       = var.public_url
        CONSUL_HTTP_ADDR = var.consul_http_addr
        NOMAD_ADDR       = var.nomad_addr
        NOMAD_UI_URL     = var.nomad_ui_url
        WARM_TARGET      = var.warm_target
        TRUSTED_PROXIES  = var.trusted_proxies
        SERVER_TIMING    = var.server_timing
        HASH_SOCKET      = "${NOMAD_ALLOC_DIR}/tmp/hash.sock"
        GOMAXPROCS       = 1        # as a worker of nginx: more gateways, not more threads, take more cores
        GOMEMLIMIT       = "128MiB" # below the limit, which counts what Go's runtime does not
        MAIL_FROM        = var.mail_from
        MAIL_OUTBOX      = var.mail_outbox
        SMTP_ADDR        = var.smtp_addr
        SMTP_TLS         = var.smtp_tls

        OTEL_EXPORTER_OTLP_ENDPOINT = var.otlp_endpoint
        OTEL_TRACES_SAMPLER         = "parentbased_traceidratio"
        OTEL_TRACES_SAMPLER_ARG     = var.trace_ratio
      }

      template {
        destination = "secrets/gateway.env"
        env         = true
        change_mode = "restart"
        data        = <<-EOT
          {{ with nomadVar "nomad/jobs/gateway" }}
          DATABASE_URL={{ .database_url }}
          CONSUL_HTTP_TOKEN={{ .consul_http_token }}
          NOMAD_TOKEN={{ .nomad_token }}
          PLATFORM_KEY={{ .platform_key }}
          ADMIN_EMAIL={{ .admin_email }}
          ADMIN_PASSWORD={{ .admin_password }}
          {{ with .smtp_username }}SMTP_USERNAME={{ . }}{{ end }}
          {{ with .smtp_password }}SMTP_PASSWORD={{ . }}{{ end }}
          {{ with .otlp_headers }}OTEL_EXPORTER_OTLP_HEADERS={{ . }}{{ end }}
          {{ end }}
        EOT
      }

      resources {
        cpu    = 500
        memory = 192
      }
    }
  }
}
