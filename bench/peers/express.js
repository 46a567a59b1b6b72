'use strict'

// The single-machine prototype's way to a tenant: Express, a session looked up
// in PostgreSQL for each request, and http-proxy-middleware.

const { createHash } = require('node:crypto')
const http = require('node:http')
const express = require('express')
const { createProxyMiddleware } = require('http-proxy-middleware')
const { Pool } = require('pg')

const { PORT, TARGET, DATABASE_URL } = process.env
const pool = new Pool({ connectionString: DATABASE_URL })
pool.on('error', console.error)

function sessionToken(cookies = '') {
  for (const pair of cookies.split(';')) {
    const [name, value] = pair.trim().split('=')
    if (name === '__Host-session') return value
  }
  return ''
}

async function authenticate(req, res, next) {
  try {
    const token = Buffer.from(sessionToken(req.headers.cookie), 'base64url')
    const { rows } = await pool.query(
      `SELECT u.id, u.email, sl.number
       FROM gateway.sessions s
       JOIN gateway.users u ON u.id = s.user_id
       JOIN gateway.slices sl ON sl.user_id = u.id AND sl.state = 'assigned'
       WHERE s.token_hash = $1 AND s.expires_at > now()`,
      [createHash('sha256').update(token).digest()],
    )
    if (rows.length === 0) return res.status(401).json({ status: 401 })
    req.headers['x-user-id'] = rows[0].id
    next()
  } catch (err) {
    next(err)
  }
}

const app = express()
app.disable('x-powered-by')
app.use(authenticate, createProxyMiddleware({
  target: TARGET,
  agent: new http.Agent({ keepAlive: true, maxSockets: 64 }),
}))
const server = app.listen(Number(PORT), '127.0.0.1')
server.keepAliveTimeout = 120_000
