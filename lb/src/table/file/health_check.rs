//! How a target group's targets are probed, in a table file.

use std::fmt;
use std::path::Path;
use std::time::Duration;

use roadstead_proto::lb;
use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::{TableFileError, whole_seconds};

/// `false`, or what differs from ELB's defaults.
#[derive(Debug)]
pub(super) enum HealthCheck {
    Off,
    On(Keys),
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Keys {
    /// Empty: it speaks as requests do.
    protocol: String,
    /// Empty is the default of its protocol.
    path: String,
    #[serde(with = "humantime_serde")]
    interval: Duration,
    /// The default is that of its protocol.
    #[serde(with = "humantime_serde")]
    timeout: Option<Duration>,
    healthy_threshold: u32,
    unhealthy_threshold: u32,
    matcher: String,
}

impl Default for Keys {
    fn default() -> Self {
        Self {
            protocol: String::new(),
            path: String::new(),
            interval: Duration::from_secs(30),
            timeout: None,
            healthy_threshold: 5,
            unhealthy_threshold: 2,
            matcher: String::new(),
        }
    }
}

impl Default for HealthCheck {
    fn default() -> Self {
        Self::On(Keys::default())
    }
}

/// By hand, because an untagged enum would not say which key is wrong.
impl<'de> Deserialize<'de> for HealthCheck {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = HealthCheck;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("false or a table")
            }

            fn visit_bool<E: serde::de::Error>(self, on: bool) -> Result<HealthCheck, E> {
                Ok(if on {
                    HealthCheck::default()
                } else {
                    HealthCheck::Off
                })
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<HealthCheck, A::Error> {
                Keys::deserialize(MapAccessDeserializer::new(map)).map(HealthCheck::On)
            }
        }
        deserializer.deserialize_any(Either)
    }
}

impl HealthCheck {
    pub(super) fn into_proto(
        self,
        path: &Path,
        group: &str,
    ) -> Result<Option<lb::HealthCheck>, TableFileError> {
        match self {
            Self::Off => Ok(None),
            Self::On(keys) => keys.into_proto(path, group).map(Some),
        }
    }
}

impl Keys {
    fn into_proto(self, path: &Path, group: &str) -> Result<lb::HealthCheck, TableFileError> {
        let seconds = |key, duration| {
            let seconds = whole_seconds(duration).filter(|seconds| *seconds > 0);
            seconds.ok_or_else(|| TableFileError::Seconds {
                path: path.to_owned(),
                group: group.to_owned(),
                key,
            })
        };
        let success_codes = match self.matcher.as_str() {
            "" => Some(Vec::new()),
            matcher => code_ranges(matcher),
        };
        let success_codes = success_codes.ok_or_else(|| TableFileError::Matcher {
            path: path.to_owned(),
            group: group.to_owned(),
            matcher: self.matcher.clone(),
        })?;
        Ok(lb::HealthCheck {
            interval_seconds: seconds("health_check.interval", self.interval)?,
            timeout_seconds: self
                .timeout
                .map_or(Ok(0), |timeout| seconds("health_check.timeout", timeout))?,
            protocol: self.protocol,
            path: self.path,
            healthy_threshold: self.healthy_threshold,
            unhealthy_threshold: self.unhealthy_threshold,
            success_codes,
        })
    }
}

/// Reads ELB's matcher: `200`, `200,202` or `200-299`.
fn code_ranges(matcher: &str) -> Option<Vec<lb::CodeRange>> {
    let range = |text: &str| {
        let (from, to) = text.split_once('-').unwrap_or((text, text));
        let (from, to) = (from.trim().parse().ok()?, to.trim().parse().ok()?);
        (from <= to).then_some(lb::CodeRange { from, to })
    };
    matcher.split(',').map(range).collect()
}
