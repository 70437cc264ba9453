//! The IPv4 subnet of an agent's bridge.

use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;

/// A block of IPv4 addresses, written `172.31.0.0/16`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Subnet {
    network: u32,
    prefix: u8,
}

/// Why a text is not a subnet.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("subnet `{0}` is not of the form A.B.C.D/N with N from 8 to 29 and no host bits set")]
pub struct SubnetError(String);

impl Subnet {
    /// Returns the first address: the bridge's own, and the containers' way out.
    #[must_use]
    pub fn gateway(&self) -> Ipv4Addr {
        Ipv4Addr::from(self.network + 1)
    }

    /// Returns how many leading bits are the network's.
    #[must_use]
    pub fn prefix(&self) -> u8 {
        self.prefix
    }

    /// Returns how many containers have an address at most: all but network, gateway and broadcast.
    #[must_use]
    pub fn size(&self) -> u32 {
        (1 << (32 - u32::from(self.prefix))) - 3
    }

    /// Returns the container address with this number, counted from 0 and modulo the size.
    #[must_use]
    pub fn address(&self, number: u32) -> Ipv4Addr {
        Ipv4Addr::from(self.network + 2 + number % self.size())
    }
}

impl Default for Subnet {
    fn default() -> Self {
        Self {
            network: u32::from(Ipv4Addr::new(172, 31, 0, 0)),
            prefix: 16,
        }
    }
}

impl FromStr for Subnet {
    type Err = SubnetError;

    fn from_str(text: &str) -> Result<Self, SubnetError> {
        let error = || SubnetError(text.to_owned());
        let (address, prefix) = text.split_once('/').ok_or_else(error)?;
        let address: Ipv4Addr = address.parse().map_err(|_| error())?;
        let prefix: u8 = prefix.parse().map_err(|_| error())?;
        let network = u32::from(address);
        if !(8..=29).contains(&prefix) || network << prefix != 0 {
            return Err(error());
        }
        Ok(Self { network, prefix })
    }
}

impl fmt::Display for Subnet {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "{}/{}",
            Ipv4Addr::from(self.network),
            self.prefix
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subnet_reads_back_as_it_is_written() {
        let subnet: Subnet = "10.1.2.0/29".parse().unwrap();
        assert_eq!(subnet.to_string(), "10.1.2.0/29");
        assert_eq!(subnet.gateway(), Ipv4Addr::new(10, 1, 2, 1));
        assert_eq!(subnet.size(), 5);
        assert_eq!(subnet.address(0), Ipv4Addr::new(10, 1, 2, 2));
        assert_eq!(subnet.address(4), Ipv4Addr::new(10, 1, 2, 6));
        assert_eq!(subnet.address(5), subnet.address(0));
    }

    #[test]
    fn host_bits_and_odd_sizes_are_refused() {
        for text in [
            "10.1.2.1/24",
            "10.0.0.0/30",
            "10.0.0.0/7",
            "10.0.0.0",
            "x/8",
        ] {
            assert_eq!(text.parse::<Subnet>(), Err(SubnetError(text.to_owned())));
        }
    }
}
