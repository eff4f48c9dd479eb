//! Configurations as their authors write them: what is refused and where, what is made of the rest, and what
//! is read from files.

#[cfg(test)]
mod accepted;
#[cfg(test)]
mod client_certificates;
#[cfg(test)]
mod examples;
#[cfg(test)]
mod files;
#[cfg(test)]
mod health;
#[cfg(test)]
mod refused;
#[cfg(test)]
mod robust;
#[cfg(test)]
mod routes;
#[cfg(test)]
mod scene;
#[cfg(test)]
mod schema;
#[cfg(test)]
mod warned;
