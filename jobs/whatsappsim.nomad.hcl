# The WhatsApp stand-in of demo mode: plays web.whatsapp.com, the phone and the
# customers. Not run where slices open the real page.

variable "image" {
  type        = string
  description = "whatsappsim image"
}

variable "datacenters" {
  type    = list(string)
  default = ["*"]
}

variable "port" {
  type        = number
  default     = 9080
  description = "static port, so that slices and people find it"
}

job "whatsappsim" {
  type        = "service"
  datacenters = var.datacenters

  ui {
    description = "Stand-in for WhatsApp (demo mode and tests)."
  }

  group "whatsappsim" {
    network {
      port "http" {
        static = var.port
      }
    }

    volume "state" {
      type   = "host"
      source = "whatsappsim"
    }

    restart {
      attempts = 20
      interval = "1m"
      delay    = "1s"
      mode     = "delay"
    }

    service {
      name     = "whatsappsim"
      port     = "http"
      provider = "consul"
      check {
        type     = "http"
        path     = "/healthz"
        interval = "2s"
        timeout  = "2s"
      }
    }

    task "whatsappsim" {
      driver       = "docker"
      kill_timeout = "15s"

      config {
        image           = var.image
        force_pull      = false
        network_mode    = "host"
        cap_drop        = ["all"]
        security_opt    = ["no-new-privileges"]
        readonly_rootfs = true
        pids_limit      = 256
      }

      env {
        LISTEN_ADDR = "${NOMAD_ADDR_http}"
        STATE_FILE  = "/state/whatsappsim.json"
      }

      volume_mount {
        volume      = "state"
        destination = "/state"
      }

      resources {
        cpu        = 100
        memory     = 128
        memory_max = 1024 # for an account with 50,000 messages
      }
    }
  }
}
