# The provisioner: two instances, one of which acts (a Consul lock decides).
#
# Secrets (Nomad Variable nomad/jobs/provisioner): database_url, nomad_token,
# consul_http_token, platform_key; otlp_headers (name=value,…) where the
# collector of traces asks for them.

variable "image" {
  type        = string
  description = "provisioner image"
}

variable "datacenters" {
  type    = list(string)
  default = ["*"]
}

variable "count" {
  type    = number
  default = 2
}

variable "host_network" {
  type        = string
  default     = "default"
  description = "Nomad host network of the health and metrics port"
}

variable "consul_http_addr" {
  type        = string
  default     = "127.0.0.1:8500"
  description = "the Consul agent of the same machine"
}

variable "nomad_addr" {
  type        = string
  default     = "http://127.0.0.1:4646"
  description = "the Nomad agent of the same machine"
}

variable "warm_target" {
  type        = number
  default     = 1
  description = "slices kept warm; at least 1"
}

variable "max_starting" {
  type        = number
  default     = 8
  description = "slices on their way to warm at once; about half the cores of the Nomad clients, since each start keeps a core busy for a second"
}

variable "app_url" {
  type        = string
  default     = ""
  description = "where users reach the app, for the link in the Nomad UI"
}

variable "slice_image" {
  type        = string
  description = "image of the slices; any that keeps the slice contract"
}

variable "slice_database_host" {
  type        = string
  description = "host:port at which slices reach PostgreSQL"
}

variable "slice_cpu" {
  type        = number
  default     = 50
  description = "MHz reserved for one slice"
}

variable "slice_memory" {
  type        = number
  default     = 256
  description = "MiB reserved for one slice"
}

variable "slice_memory_max" {
  type        = number
  default     = 1024
  description = "MiB one slice may use"
}

variable "whatsapp_url" {
  type        = string
  default     = "https://web.whatsapp.com/"
  description = "page that a slice opens"
}

variable "seccomp_profile" {
  type        = string
  description = "path of the slices' seccomp profile on every Nomad client"
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

variable "slice_otlp_endpoint" {
  type        = string
  default     = ""
  description = "the same for slices, which need an address that containers reach; a change makes a new generation"
}

variable "slice_trace_ratio" {
  type        = string
  default     = "1"
  description = "part of the traces that slices begin (messages sent); requests go by the gateway's"
}

job "provisioner" {
  type        = "service"
  datacenters = var.datacenters

  ui {
    description = "Keeps warm slices ready: databases, variables, jobs `slice-N`."
  }

  update {
    max_parallel     = 1
    health_check     = "checks"
    min_healthy_time = "2s"
    healthy_deadline = "2m"
    auto_revert      = true
  }

  group "provisioner" {
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
      name     = "provisioner"
      port     = "http"
      provider = "consul"
      check {
        type     = "http"
        path     = "/readyz"
        interval = "2s"
        timeout  = "2s"
      }
    }

    task "provisioner" {
      driver       = "docker"
      kill_timeout = "30s"

      config {
        image           = var.image
        force_pull      = false
        network_mode    = "host" # the machine's agents are on its loopback
        cap_drop        = ["all"]
        security_opt    = ["no-new-privileges"]
        readonly_rootfs = true
        pids_limit      = 256
      }

      env {
        LISTEN_ADDR         = "${NOMAD_ADDR_http}"
        CONSUL_HTTP_ADDR    = var.consul_http_addr
        NOMAD_ADDR          = var.nomad_addr
        WARM_TARGET         = var.warm_target
        MAX_STARTING        = var.max_starting
        APP_URL             = var.app_url
        SLICE_IMAGE         = var.slice_image
        SLICE_DATABASE_HOST = var.slice_database_host
        SLICE_CPU           = var.slice_cpu
        SLICE_MEMORY        = var.slice_memory
        SLICE_MEMORY_MAX    = var.slice_memory_max
        WHATSAPP_URL        = var.whatsapp_url
        SECCOMP_PROFILE     = var.seccomp_profile
        SLICE_OTLP_ENDPOINT = var.slice_otlp_endpoint
        SLICE_TRACE_RATIO   = var.slice_trace_ratio

        OTEL_EXPORTER_OTLP_ENDPOINT = var.otlp_endpoint
        OTEL_TRACES_SAMPLER         = "parentbased_traceidratio"
        OTEL_TRACES_SAMPLER_ARG     = var.trace_ratio
      }

      template {
        destination = "secrets/provisioner.env"
        env         = true
        change_mode = "restart"
        data        = <<-EOT
          {{ with nomadVar "nomad/jobs/provisioner" }}
          DATABASE_URL={{ .database_url }}
          NOMAD_TOKEN={{ .nomad_token }}
          CONSUL_HTTP_TOKEN={{ .consul_http_token }}
          PLATFORM_KEY={{ .platform_key }}
          {{ with .otlp_headers }}OTEL_EXPORTER_OTLP_HEADERS={{ . }}{{ end }}
          {{ end }}
        EOT
      }

      resources {
        cpu    = 200
        memory = 128
      }
    }
  }
}
