# One slice: the container of one tenant. The provisioner registers one such
# job per slice, and `nomad job run -namespace slices -var number=42 …` takes
# the same file.
#
# Secrets (Nomad Variable nomad/jobs/slice-N in namespace slices):
# database_url, token, snapshot_key.

variable "number" {
  type        = number
  description = "the slice's number; never used twice"
}

variable "generation" {
  type        = number
  description = "definition that the slice was made from, as in gateway.generations"
}

variable "image" {
  type        = string
  description = "any image that keeps the slice contract; not tagged `latest`, which is always pulled"
}

variable "datacenters" {
  type    = list(string)
  default = ["*"]
}

variable "whatsapp_url" {
  type        = string
  default     = "https://web.whatsapp.com/"
  description = "page that the slice opens"
}

variable "seccomp_profile" {
  type        = string
  description = "path of the seccomp profile on every Nomad client"
}

variable "cpu" {
  type        = number
  default     = 50
  description = "MHz reserved; an idle session needs little"
}

variable "memory" {
  type        = number
  default     = 256
  description = "MiB reserved"
}

variable "memory_max" {
  type        = number
  default     = 1024
  description = "MiB the slice may use where the machine has them"
}

variable "app_url" {
  type        = string
  default     = ""
  description = "where the app is, for the link in the Nomad UI; none when empty"
}

variable "otlp_endpoint" {
  type        = string
  default     = ""
  description = "OTLP/HTTP collector that gets traces, at an address that containers reach; none when empty"
}

variable "trace_ratio" {
  type        = string
  default     = "1"
  description = "part of the traces that slices begin that is kept, 0 to 1"
}

job "slice" {
  id          = "slice-${var.number}"
  name        = "slice-${var.number}"
  namespace   = "slices"
  type        = "service"
  datacenters = var.datacenters

  meta {
    slice      = var.number
    generation = var.generation
  }

  ui {
    description = <<-EOT
      **Slice ${var.number}**: one tenant's CRM backend and WhatsApp Web session
      (database `wa_slice_${var.number}`, generation ${var.generation}).

      - *Stop* holds the slice: its user sees a maintenance page, and nothing
        restarts it. *Start* ends the hold.
      - *Purge* makes a slice with a user anew on the data that it has; a slice
        without one is replaced and its database dropped.
      - *Restart* is safe at any time: the WhatsApp session is on the
        allocation's disk.
    EOT
    dynamic "link" {
      for_each = var.app_url == "" ? [] : [var.app_url]
      content {
        label = "App"
        url   = link.value
      }
    }
    link {
      label = "WhatsApp Web"
      url   = var.whatsapp_url
    }
  }

  # No deployments: with one allocation there is nothing to roll, each would
  # cost writes on the servers, and a purge with one under way can end a Nomad
  # server of 1.11.2 or 1.11.3 (hashicorp/nomad pull request 27739).
  update {
    max_parallel = 0
  }

  # A lost machine's slices are placed elsewhere, for as long as it takes.
  reschedule {
    unlimited      = true
    delay          = "5s"
    delay_function = "exponential"
    max_delay      = "2m"
  }

  group "slice" {
    count = 1

    network {
      port "http" {
        to = 8080
      }
    }

    # The Chromium profile follows the slice from machine to machine.
    ephemeral_disk {
      sticky  = true
      migrate = true
      size    = 500 # MB
    }

    # Never gives up: at once for a single crash, slower in a crash loop.
    restart {
      attempts = 5
      interval = "1m"
      delay    = "1s"
      mode     = "delay"
    }

    task "slice" {
      driver         = "docker"
      kill_signal    = "SIGTERM"
      kill_timeout   = "15s" # the slice closes Chromium within 10 s
      shutdown_delay = "1s"  # out of Consul first, so that gateways look away

      # Of the task, not of the group: registered when the container runs, so
      # that the first check meets a listening slice. That check waits for
      # readiness in the slice, which saves the second that the next one is away.
      service {
        name     = "slice-${var.number}"
        port     = "http"
        provider = "consul"
        check {
          type     = "http"
          path     = "/healthz?wait=1500ms"
          interval = "1s"
          timeout  = "2s"
        }
      }

      config {
        image           = var.image
        force_pull      = false
        ports           = ["http"]
        hostname        = "slice-${var.number}"
        cap_drop        = ["all"]
        security_opt    = ["no-new-privileges", "seccomp=${var.seccomp_profile}"]
        readonly_rootfs = true
        pids_limit      = 512
        shm_size        = 268435456 # bytes; Chromium shares its frames there

        healthchecks {
          disable = true # of the image; Consul asks already
        }

        mount {
          type   = "tmpfs"
          target = "/tmp"
          tmpfs_options {
            size = 268435456 # bytes
            mode = 1023      # 1777 in octal
          }
        }
      }

      env {
        SLICE_NUMBER = var.number
        LISTEN_ADDR  = ":8080"
        WHATSAPP_URL = var.whatsapp_url
        PROFILE_DIR  = "${NOMAD_ALLOC_DIR}/data/profile"
        HOME         = "/tmp"

        MEMORY_LIMIT_MIB = var.memory_max

        OTEL_EXPORTER_OTLP_ENDPOINT = var.otlp_endpoint
        OTEL_TRACES_SAMPLER         = "parentbased_traceidratio"
        OTEL_TRACES_SAMPLER_ARG     = var.trace_ratio
      }

      template {
        destination = "${NOMAD_SECRETS_DIR}/slice.env"
        env         = true
        change_mode = "restart"
        data        = <<-EOT
          {{ with nomadVar "nomad/jobs/slice-${var.number}" }}
          DATABASE_URL={{ .database_url }}
          SLICE_TOKEN={{ .token }}
          SLICE_SNAPSHOT_KEY={{ .snapshot_key }}
          {{ end }}
        EOT
      }

      logs {
        max_files     = 2
        max_file_size = 5 # MB
      }

      resources {
        cpu        = var.cpu
        memory     = var.memory
        memory_max = var.memory_max
      }
    }
  }
}
