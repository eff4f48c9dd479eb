//! Every key of the references is in its table, once.

use std::collections::BTreeSet;

use crate::migrate::oauth2_proxy::{ALPHA, CLASSIC, PROVIDER};
use crate::migrate::pomerium::keys::{GLOBAL, ROUTE};
use crate::migrate::scope::{Key, find};

/// Settings of Pomerium's top level.
const SETTINGS: &str =
    "address services shared_secret shared_secret_file cookie_secret cookie_secret_file cookie_name cookie_domain
    cookie_expire cookie_http_only cookie_same_site insecure_server http_redirect_addr certificate certificate_key
    certificate_file certificate_key_file certificates certificate_authority certificate_authority_file
    override_certificate_name tls_derive autocert autocert_ca autocert_email autocert_use_staging autocert_eab_key_id
    autocert_eab_mac_key autocert_must_staple autocert_trusted_ca autocert_trusted_ca_file autocert_dir
    authenticate_service_url authenticate_internal_service_url authorize_service_url authorize_service_urls
    authorize_internal_service_url databroker_service_url databroker_service_urls databroker_internal_service_url
    signout_redirect_url idp_provider idp_provider_url idp_client_id idp_client_secret idp_client_secret_file idp_scopes
    idp_request_params idp_access_token_allowed_audiences identity_providers bearer_token_format signing_key
    signing_key_file jwt_claims_headers jwt_groups_filter jwt_issuer_format pass_identity_headers set_response_headers
    programmatic_redirect_domain_whitelist downstream_mtls timeout_read timeout_write timeout_idle
    default_upstream_timeout codec_type use_proxy_protocol skip_xff_append xff_num_trusted_hops merge_slashes
    normalize_path path_with_escaped_slashes_action headers_with_underscores_action allow_upgrades dns_lookup_family
    dns_failure_refresh_rate dns_query_timeout dns_query_tries dns_refresh_rate dns_udp_max_queries dns_use_tcp
    dns_resolvers circuit_breaker_thresholds log_level proxy_log_level access_log_fields authorize_log_fields
    metrics_address metrics_basic_auth metrics_certificate metrics_certificate_key metrics_certificate_file
    metrics_certificate_key_file metrics_client_ca metrics_client_ca_file otel_traces_exporter
    otel_exporter_otlp_endpoint otel_exporter_otlp_protocol otel_exporter_otlp_headers otel_exporter_otlp_timeout
    otel_traces_sampler_arg otel_resource_attributes otel_bsp_schedule_delay otel_bsp_max_export_batch_size
    otel_log_level otel_attribute_value_length_limit grpc_address grpc_insecure grpc_client_timeout
    databroker_storage_type databroker_storage_connection_string databroker_storage_connection_string_file
    databroker_cluster_node_id databroker_cluster_leader_id databroker_cluster_nodes databroker_raft_bind_address
    google_cloud_serverless_authentication_service_account envoy_admin_address envoy_admin_access_log_path
    envoy_admin_profile_path envoy_bind_config_source_address envoy_bind_config_freebind envoy_dynamic_extensions
    debug_address health_check_addr health_check_systemd_disabled ssh_address ssh_host_keys ssh_host_key_files
    ssh_user_ca_key ssh_user_ca_key_file ssh_rls_enabled ssh_rls_additional_entries mcp_allowed_client_id_domains
    mcp_allowed_as_metadata_domains blob_storage session_recording_concurrency branding installation_id
    auto_apply_changesets policy routes policy_file runtime_flags";

/// Settings of Pomerium's routes.
const OF_ROUTES: &str =
    "name description logo_url from to redirect response prefix path regex regex_priority_order prefix_rewrite
    regex_rewrite_pattern regex_rewrite_substitution host_rewrite host_rewrite_header host_path_regex_rewrite_pattern
    host_path_regex_rewrite_substitution preserve_host_header policy allowed_users allowed_domains allowed_idp_claims
    allow_any_authenticated_user allow_public_unauthenticated_access cors_allow_preflight timeout idle_timeout
    allow_websockets allow_spdy allow_upgrades tls_skip_verify tls_server_name tls_upstream_server_name
    tls_downstream_server_name tls_custom_ca tls_custom_ca_file tls_client_cert tls_client_key tls_client_cert_file
    tls_client_key_file tls_downstream_client_ca tls_downstream_client_ca_file tls_upstream_allow_renegotiation
    set_request_headers remove_request_headers set_response_headers rewrite_response_headers pass_identity_headers
    jwt_groups_filter jwt_issuer_format kubernetes_service_account_token kubernetes_service_account_token_file
    enable_google_cloud_serverless_authentication idp_client_id idp_client_secret idp_access_token_allowed_audiences
    bearer_token_format identity_providers show_error_details depends_on load_balancing_policy
    load_balancing_policy_config health_checks outlier_detection healthy_panic_threshold circuit_breaker_thresholds mcp
    upstream_tunnel session_recording sub_policies";

/// Settings of oauth2-proxy's own file that this conversion promises to know.
const CLASSIC_SETTINGS: &str =
    "provider oidc_issuer_url client_id client_secret client_secret_file email_domains allowed_groups upstreams
    redirect_url cookie_name cookie_secret cookie_domains cookie_path cookie_expire cookie_refresh cookie_secure
    cookie_httponly cookie_samesite cookie_csrf_per_request whitelist_domains skip_auth_routes pass_user_headers
    pass_host_header pass_access_token pass_authorization_header pass_basic_auth set_xauthrequest http_address
    https_address tls_cert_file tls_key_file skip_provider_button session_store_type redis_connection_url reverse_proxy
    authenticated_emails_file scope trusted_ips skip_jwt_bearer_tokens ssl_upstream_insecure_skip_verify";

#[test]
fn every_key_of_the_references_has_its_treatment() {
    covers(GLOBAL, SETTINGS);
    covers(ROUTE, OF_ROUTES);
    covers(CLASSIC, CLASSIC_SETTINGS);
}

#[test]
fn no_key_stands_in_a_table_twice() {
    once(GLOBAL);
    once(ROUTE);
    once(CLASSIC);
    once(ALPHA);
    once(PROVIDER);
}

fn covers<A>(table: &[Key<A>], names: &str) {
    let missing: Vec<&str> = names.split_whitespace().filter(|name| find(table, name).is_none()).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

fn once<A>(table: &[Key<A>]) {
    let mut seen = BTreeSet::new();
    for Key { name, .. } in table {
        assert!(seen.insert(*name), "{name}");
        let begins = |other: &&Key<A>| {
            other.name.strip_suffix('*').is_some_and(|start| other.name != *name && name.starts_with(start))
        };
        assert!(!table.iter().any(|other| begins(&other)), "{name} is named by a beginning too");
    }
}
