//! The parts that a stage is made of: ports, choices, files, components, addresses.

use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    time::Duration,
};

use policy::{AddressPattern, LabelledAddress, Protocol};

use super::{
    ComponentSpec, Part, PrepareError,
    owner::{Owner, filling},
    service::{Layout, Service},
};
use crate::{
    definition::{Scenario, UnknownVariable, fill_in},
    shell::Shell,
};

/// How long the text that prepares a stage may take.
const PREPARATION: Duration = Duration::from_secs(60);

/// The ports: those that are named, and free ones for the others.
pub(super) fn ports(scenario: &Scenario) -> Result<BTreeMap<String, u16>, PrepareError> {
    scenario.check_ports()?;
    // All at once, so that none is given twice.
    let mut held = Vec::new();
    let mut ports = BTreeMap::new();
    for port in &scenario.ports {
        let number = match &port.number {
            Some(number) => *number.get_ref(),
            None => {
                let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
                    .map_err(|source| PrepareError::Port { source })?;
                let address =
                    listener.local_addr().map_err(|source| PrepareError::Port { source })?;
                held.push(listener);
                address.port()
            }
        };
        ports.insert(port.name.get_ref().clone(), number);
    }
    Ok(ports)
}

/// The values that the seed chooses.
pub(super) fn chosen(scenario: &Scenario, seed: u64) -> BTreeMap<String, String> {
    let choices = scenario.choices.iter().enumerate().map(|(index, choice)| {
        let bytes = filling(seed.wrapping_add(index as u64), 8);
        let number = u64::from_le_bytes(bytes.try_into().expect("8 bytes were asked for"));
        let value = &choice.of[(number % choice.of.len() as u64) as usize];
        (choice.variable.get_ref().clone(), value.clone())
    });
    choices.collect()
}

/// Directories and files, then what the scenario's own text makes of them.
pub(super) fn lay_out(
    scenario: &Scenario,
    owner: &Owner,
    variables: &BTreeMap<String, String>,
    seed: u64,
) -> Result<(), PrepareError> {
    for directory in &scenario.directories {
        owner.directory(&owner.stage.join(directory.path.get_ref()), 0o755, true)?;
    }
    for (index, file) in scenario.files.iter().enumerate() {
        let path = owner.stage.join(file.path.get_ref());
        let content = match (&file.content, &file.source, file.size_bytes) {
            // A program beside the scenario's file means its braces as they are.
            (Some(content), Some(_), _) => content.clone().into_bytes(),
            (Some(content), None, _) => fill_in(content, variables)?.into_bytes(),
            (None, _, size) => filling(seed.wrapping_add(index as u64), size.unwrap_or_default()),
        };
        if let Some(parent) = path.parent()
            && !parent.is_dir()
        {
            // Whoever owns a directory can replace what is in it.
            owner.directory(parent, 0o755, !file.harness)?;
        }
        owner.make(&path, &content, if file.executable { 0o755 } else { 0o644 })?;
        if !file.harness {
            owner.give(&path)?;
        }
    }
    let Some(prepare) = &scenario.prepare else { return Ok(()) };
    let shell =
        Shell::preparing(fill_in(prepare, variables)?, &owner.stage, (owner.uid, owner.gid));
    let said = shell.run(PREPARATION).map_err(|source| PrepareError::Shell { source })?;
    match said.code {
        Some(0) => Ok(()),
        code => Err(PrepareError::Preparation {
            how: match code {
                Some(code) => format!("exited with {code}"),
                None => format!("did not end within {} s", PREPARATION.as_secs()),
            },
            said: said.text.trim().to_owned(),
        }),
    }
}

pub(super) fn components(
    scenario: &Scenario,
    variables: &BTreeMap<String, String>,
    layout: Option<&(Layout, Service)>,
) -> Result<Vec<ComponentSpec>, PrepareError> {
    let entries = scenario.components.iter().map(|entry| {
        let name = entry.name.get_ref().clone();
        let filled = |text: &String| fill_in(text, variables);
        let environment = entry
            .environment
            .iter()
            .map(|(name, value)| Ok((name.clone(), filled(value)?)))
            .collect::<Result<_, UnknownVariable>>()?;
        let (program, args) = match entry.shipped() {
            None => {
                let mut words = entry.command.iter().map(filled);
                let program = words.next().transpose()?;
                (program, words.collect::<Result<_, _>>()?)
            }
            Some(code) => {
                let code = code.get_ref();
                let mut args = vec!["component".to_owned(), code.clone()];
                if *code != name {
                    args.extend(["--name".to_owned(), name.clone()]);
                }
                let part = match code.as_str() {
                    "backend" => Some(Part::Backend),
                    "neighbour" => Some(Part::Neighbour),
                    _ => None,
                };
                if let (Some(part), Some((layout, service))) = (part, layout) {
                    args.extend(layout.arguments(part, service));
                }
                (None, args)
            }
        };
        Ok(ComponentSpec { name, program, args, environment, nice: entry.nice })
    });
    entries.collect()
}

/// Where components answer, then what else the scenario labels.
pub(super) fn addresses(
    scenario: &Scenario,
    service: Option<&Service>,
    ports: &BTreeMap<String, u16>,
) -> Vec<LabelledAddress> {
    let exactly = |address, label: &str| LabelledAddress {
        pattern: AddressPattern::exactly(Protocol::Tcp, address),
        label: label.to_owned(),
    };
    let backend = service.map(|service| exactly(service.address, "component:backend"));
    let of_ports = scenario.ports.iter().filter_map(|port| {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, ports[port.name.get_ref()]));
        Some(exactly(address, port.label.as_ref()?.get_ref()))
    });
    let declared = scenario.addresses.iter().map(|entry| LabelledAddress {
        pattern: entry.address,
        label: entry.label.name().to_owned(),
    });
    backend.into_iter().chain(of_ports).chain(declared).collect()
}
