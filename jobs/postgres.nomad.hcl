# PostgreSQL for the gateway schema and the slices' databases, on the one
# machine whose Nomad client has the host volume "postgres". A managed server
# can stand in for it: then this job is not run.
#
# Secret (Nomad Variable nomad/jobs/postgres): superuser_password.

variable "image" {
  type        = string
  description = "PostgreSQL image"
}

variable "datacenters" {
  type    = list(string)
  default = ["*"]
}

variable "port" {
  type        = number
  default     = 5432
  description = "static port, so that slices need no lookup"
}

variable "listen_addresses" {
  type        = string
  default     = "*"
  description = "addresses the server binds, separated by commas"
}

variable "memory" {
  type        = number
  default     = 1024
  description = "MiB; a quarter becomes shared_buffers"
}

variable "max_connections" {
  type    = number
  default = 500
}

job "postgres" {
  type        = "service"
  datacenters = var.datacenters

  ui {
    description = "One PostgreSQL: schema **gateway** and one database **wa_slice_N** per slice."
  }

  group "postgres" {
    network {
      port "postgres" {
        static = var.port
      }
    }

    volume "data" {
      type   = "host"
      source = "postgres"
    }

    restart {
      attempts = 20
      interval = "1m"
      delay    = "1s"
      mode     = "delay"
    }

    service {
      name     = "postgres"
      port     = "postgres"
      provider = "consul"
      check {
        type     = "tcp"
        interval = "2s"
        timeout  = "2s"
      }
    }

    task "postgres" {
      driver       = "docker"
      kill_signal  = "SIGINT" # fast shutdown: sessions are ended, data is flushed
      kill_timeout = "60s"

      config {
        image        = var.image
        force_pull   = false
        network_mode = "host"
        security_opt = ["no-new-privileges"]
        shm_size     = 268435456 # 256 MiB for parallel queries
        args = [
          "-p", "${var.port}",
          "-c", "listen_addresses=${var.listen_addresses}",
          "-c", "max_connections=${var.max_connections}",
          "-c", "shared_buffers=${floor(var.memory / 4)}MB",
        ]
      }

      volume_mount {
        volume      = "data"
        destination = "/var/lib/postgresql/data"
      }

      template {
        destination = "secrets/superuser_password"
        change_mode = "noop"
        data        = "{{ with nomadVar \"nomad/jobs/postgres\" }}{{ .superuser_password }}{{ end }}"
      }

      resources {
        cpu    = 1000
        memory = var.memory
      }
    }
  }
}
