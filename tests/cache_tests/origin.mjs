// The suite's own origin server, kept to loopback: it would listen on every interface.
//   node origin.mjs SUITE PORT
import http from 'node:http'
import { pathToFileURL } from 'node:url'

const [suite, port] = process.argv.slice(2)
const listen = http.Server.prototype.listen
http.Server.prototype.listen = function (port) {
  return listen.call(this, Number(port), '127.0.0.1')
}
Object.assign(process.env, { npm_config_protocol: 'http', npm_config_port: port, npm_config_pidfile: '/dev/null' })
await import(pathToFileURL(`${suite}/server/server.mjs`))
