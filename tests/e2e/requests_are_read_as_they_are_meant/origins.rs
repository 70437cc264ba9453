//! Servers of others, each of which says in `X-Path` what it was asked for, and keeps a log of `METHOD PATH`.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;
use roadstead_tests::{Process, front};

/// One of them, running.
pub(crate) struct Origin {
    pub(crate) port: u16,
    log: PathBuf,
    _process: Process,
}

impl Origin {
    /// Returns what it was asked, in its order.
    pub(crate) fn asked(&self) -> anyhow::Result<Vec<String>> {
        let text = fs::read_to_string(&self.log).unwrap_or_default();
        let lines = text.lines().filter_map(|line| {
            let asked = line.split_once("ASKED ")?.1;
            // Without the query.
            Some(asked.split('?').next().unwrap_or(asked).trim().to_owned())
        });
        Ok(lines.collect())
    }
}

pub(crate) const NAMES: [&str; 5] = ["nginx", "apache", "gunicorn", "node", "haproxy"];

/// Starts one in a folder of its own.
pub(crate) async fn start(name: &'static str, folder: &Path, port: u16) -> anyhow::Result<Origin> {
    let folder = folder.join(name);
    fs::create_dir_all(&folder)?;
    let log = folder.join("asked.log");
    let here = folder.display();
    let (program, file, text, arguments): (_, _, _, Vec<OsString>) = match name {
        "nginx" => {
            let text = format!(
                "daemon off; master_process off; pid {here}/pid; error_log stderr;\n\
                 events {{ worker_connections 1024; }}\n\
                 http {{ log_format asked 'ASKED $request_method $uri'; access_log {log} asked;\n\
                 client_body_temp_path {here}/body; proxy_temp_path {here}/proxy; fastcgi_temp_path {here}/f;\n\
                 uwsgi_temp_path {here}/u; scgi_temp_path {here}/s; keepalive_requests 100000;\n\
                 server {{ listen 127.0.0.1:{port}; location / {{ add_header X-Path $uri always; return 200 ok; }} }} }}\n",
                log = log.display()
            );
            let file = folder.join("nginx.conf");
            let arguments = vec!["-c".into(), file.clone().into()];
            ("/usr/sbin/nginx", file, text, arguments)
        }
        "apache" => {
            let modules = "/usr/lib/apache2/modules";
            fs::write(folder.join("index.html"), "ok")?;
            let text = format!(
                "LoadModule mpm_event_module {modules}/mod_mpm_event.so\nLoadModule authz_core_module {modules}/mod_authz_core.so\n\
                 LoadModule headers_module {modules}/mod_headers.so\nLoadModule dir_module {modules}/mod_dir.so\n\
                 LoadModule rewrite_module {modules}/mod_rewrite.so\n\
                 ServerRoot {here}\nServerName origin\nPidFile {here}/pid\nListen 127.0.0.1:{port}\nDocumentRoot {here}\n\
                 ErrorLog {here}/error.log\nLogFormat \"ASKED %m %U\" asked\nCustomLog {log} asked\nMaxKeepAliveRequests 0\n\
                 <Directory {here}>\nRequire all granted\n</Directory>\nRewriteEngine on\nRewriteRule ^ {here}/index.html [L]\n\
                 Header always set X-Path \"expr=%{{THE_REQUEST}}\"\n",
                log = log.display()
            );
            let file = folder.join("apache.conf");
            let arguments = vec!["-X".into(), "-f".into(), file.clone().into()];
            ("/usr/sbin/apache2", file, text, arguments)
        }
        "gunicorn" => {
            let text = "def app(environ, start):\n    environ['wsgi.input'].read()\n    \
                        start('200 OK', [('X-Path', environ['PATH_INFO']), ('Content-Length', '2')])\n    return [b'ok']\n";
            let arguments = [
                "--chdir",
                &here.to_string(),
                "--bind",
                &format!("127.0.0.1:{port}"),
                "--worker-class",
                "gthread",
                "--threads",
                "8",
                "--keep-alive",
                "30",
                "--access-logfile",
                &log.display().to_string(),
                "--access-logformat",
                "ASKED %(m)s %(U)s",
                "origin:app",
            ]
            .map(OsString::from)
            .into();
            let file = folder.join("origin.py");
            ("/usr/bin/gunicorn", file, text.to_owned(), arguments)
        }
        "node" => {
            let text = format!(
                "require('http').createServer((request, response) => {{\n\
                 const path = request.url.split('?')[0];\n\
                 require('fs').appendFileSync('{}', `ASKED ${{request.method}} ${{path}}\\n`);\n\
                 request.on('end', () => {{ response.setHeader('X-Path', path); response.end('ok'); }}).resume();\n\
                 }}).listen({port}, '127.0.0.1');\n",
                log.display()
            );
            let file = folder.join("origin.js");
            let arguments = vec![file.clone().into()];
            ("/usr/bin/node", file, text, arguments)
        }
        _ => {
            let text = format!(
                "global\n    log stdout format raw local0\ndefaults\n    mode http\n    log global\n    option dontlognull\n    timeout client 60s\n    \
                 timeout http-request 10s\nfrontend origin\n    bind 127.0.0.1:{port}\n    log-format \"ASKED %HM %HP\"\n    \
                 option http-buffer-request\n    \
                 http-request return status 200 content-type text/plain string ok hdr X-Path %[path]\n"
            );
            let file = folder.join("haproxy.cfg");
            let arguments = vec!["-db".into(), "-f".into(), file.clone().into()];
            ("/usr/sbin/haproxy", file, text, arguments)
        }
    };
    fs::write(&file, text)?;
    // One of them logs to its output.
    let output = if name == "haproxy" {
        log.clone()
    } else {
        folder.join("output")
    };
    let mut process = Process::start(name, Path::new(program), arguments, output)
        .with_context(|| format!("{program} is installed by tests/setup.sh test"))?;
    front::listening(&mut process, port).await?;
    Ok(Origin {
        port,
        log,
        _process: process,
    })
}
