use std::{fs, io, path::Path};

use super::Postgres;
use crate::secret::Secret;

/// The password for `config` in a file of passwords. As with libpq, a file that others may read is
/// not used. Source: PostgreSQL docs, "The Password File".
///
/// # Errors
///
/// The file cannot be read, or others may read it too.
pub(super) fn lookup(path: &Path, config: &Postgres) -> io::Result<Option<Secret>> {
    Ok(find(&read(path)?, config))
}

fn read(path: &Path) -> io::Result<String> {
    use std::os::unix::fs::PermissionsExt;

    if fs::metadata(path)?.permissions().mode() & 0o077 != 0 {
        return Err(io::Error::new(
            io::ErrorKind::PermissionDenied,
            "others may read it; run chmod 0600",
        ));
    }
    fs::read_to_string(path)
}

fn find(text: &str, config: &Postgres) -> Option<Secret> {
    let host = if config.is_socket() {
        "localhost"
    } else {
        &config.host
    };
    let port = config.port.to_string();
    let wanted = [host, &port, &config.database, &config.user];
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let fields = fields(line);
        let [pattern @ .., password] = fields.as_slice() else {
            continue;
        };
        let fits = |(pattern, value): (&String, &&str)| pattern == "*" || pattern == value;
        if pattern.len() == wanted.len() && pattern.iter().zip(&wanted).all(fits) {
            return Some(Secret::new(password));
        }
    }
    None
}

/// Up to five fields; a backslash makes the next character literal.
fn fields(line: &str) -> Vec<String> {
    let mut fields = vec![String::new()];
    let mut letters = line.chars();
    while let Some(letter) = letters.next() {
        match letter {
            ':' if fields.len() < 5 => fields.push(String::new()),
            '\\' => fields
                .last_mut()
                .into_iter()
                .for_each(|f| f.extend(letters.next())),
            other => fields.last_mut().into_iter().for_each(|f| f.push(other)),
        }
    }
    fields
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        postgres::{ChannelBinding, Password, TlsMode},
        tls::Certificates,
    };

    fn check(file: &str, host: &str, expected: Option<&str>) {
        let config = Postgres {
            host: host.to_owned(),
            port: 5432,
            database: "shop".to_owned(),
            user: "relay".to_owned(),
            password: Password::None,
            tls: TlsMode::Prefer,
            certificates: Certificates::default(),
            channel_binding: ChannelBinding::Prefer,
        };
        assert_eq!(
            find(file, &config).as_ref().map(Secret::reveal),
            expected,
            "{file:?}"
        );
    }

    #[test]
    fn the_first_line_that_fits_gives_the_password() {
        check("h:5432:shop:relay:one\nh:*:*:*:two", "h", Some("one"));
        check("# h:5432:shop:relay:one\nh:*:*:*:two", "h", Some("two"));
        check("other:5432:shop:relay:one\nh:1:*:*:two", "h", None);
        check("h:5432:shop:relay", "h", None);
        check("", "h", None);
    }

    #[test]
    fn a_socket_counts_as_localhost() {
        check(
            "localhost:5432:shop:relay:one",
            "/run/postgresql",
            Some("one"),
        );
    }

    #[test]
    fn colons_and_backslashes_can_be_part_of_a_field() {
        check(r"a\:b:*:*:*:c\\d:e", "a:b", Some(r"c\d:e"));
    }
}
